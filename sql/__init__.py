"""What the database knows: migrations in order, and queries by name."""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path

# Between statements that are sent as one message.
SEPARATOR = "\n;\n"
MIGRATIONS: Path = Path(str(files(__name__))) / "migrations"


@cache
def query(name: str) -> str:
    """The statement of `queries/<name>.sql`.

    Raises FileNotFoundError for a name that does not exist.
    """
    return (files(__name__) / "queries" / f"{name}.sql").read_text(encoding="utf-8")


def in_turn(statements: Iterable[str]) -> str:
    """Statements without parameters as one message: one round trip instead of one each."""
    return SEPARATOR.join(statements)

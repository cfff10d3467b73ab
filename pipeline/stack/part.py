"""What each part of the stack tells the starter about itself, and how any part is prepared only once."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import Signals
from typing import Protocol

from pipeline.stack.config import REPLICAS, PartName


class Part(Protocol):
    """One server: how it is prepared, started, addressed and stopped."""

    @property
    def name(self) -> PartName: ...

    @property
    def port_names(self) -> Sequence[str]:
        """Ports to choose, the one that clients use first."""
        ...

    @property
    def ready_seconds_max(self) -> float:
        """How long a start may take, recovery after a crash included."""
        ...

    def check(self) -> None:
        """Fail early, with words, when the part cannot run here."""
        ...

    def prepare(self, ports: Mapping[str, int]) -> None:
        """Make all that the server needs; may be cut off anywhere and done again."""
        ...

    def command(self) -> Sequence[str]: ...

    def environ(self) -> Mapping[str, str] | None: ...

    def address(self, ports: Mapping[str, int]) -> str:
        """What clients connect to."""
        ...

    def ready(self, ports: Mapping[str, int]) -> None:
        """Return when the server serves; raise `NotReady` when not yet."""
        ...


# Stopping needs no programs, only a signal, so that `down` works where the extra was uninstalled meanwhile.
# Kindly: PostgreSQL's fast shutdown, Kafka's controlled one. For a purge: at once, as the data goes anyway;
# PostgreSQL by SIGQUIT, since only then it still removes its shared memory.
KINDLY: Mapping[PartName, Signals] = {
    "postgres": Signals.SIGINT,
    "kafka": Signals.SIGTERM,
    "valkey": Signals.SIGTERM,
    **dict.fromkeys(REPLICAS, Signals.SIGINT),
}
AT_ONCE: Mapping[PartName, Signals] = {
    "postgres": Signals.SIGQUIT,
    "kafka": Signals.SIGKILL,
    "valkey": Signals.SIGKILL,
    **dict.fromkeys(REPLICAS, Signals.SIGQUIT),
}


def made_once(folder: Path, make: Callable[[Path], None]) -> None:
    """Have `make` fill a folder, which then appears whole under its name or not at all.

    A folder that exists was therefore finished; what a killed attempt left is thrown away.
    """
    for leftover in folder.parent.glob(f"{folder.name}.new-*"):
        shutil.rmtree(leftover)
    if folder.exists():
        return
    unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.new-", dir=folder.parent))
    make(unfinished)
    unfinished.rename(folder)

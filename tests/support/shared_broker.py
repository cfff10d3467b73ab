"""One broker for all processes of a run.

By its start and its housekeeping a broker costs as much as a hundred tests; what they put into it has their own names.
PostgreSQL and Valkey stay one a process: roles of the one, and databases of the other, are not told apart by names.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock

from pipeline.errors import StackFailed
from pipeline.stack import StackConfig
from pipeline.stack.folder import locked
from pipeline.stack.kafka import Kafka
from pipeline.stack.record import LOCK, Ledger, read
from pipeline.stack.starter import Starter
from pipeline.stack.temporary import reaped


@contextmanager
def broker_folder() -> Iterator[Path]:
    """Where a broker may be started. It and the folder are gone in the end, even when this process is killed."""
    config = StackConfig(Path(tempfile.mkdtemp(prefix="folio-broker-")), preferred_ports={})
    # A stack's from the beginning: who purges it must know it, also before anybody has started something there.
    Ledger(config.directory)
    with reaped(config):
        yield config.directory


def address_in(directory: Path) -> str:
    """Of the broker in that folder: the first who asks starts it, and the others wait.

    Raises StackFailed where the folder is gone, with the process that made it.
    """
    with locked(directory / LOCK):
        if read(directory) is None:
            raise StackFailed(f"{directory} was purged: whoever made it has ended")
        folder = directory / "kafka"
        folder.mkdir(mode=0o700, exist_ok=True)
        ledger = Ledger(directory)
        Starter(StackConfig(directory, preferred_ports={}), ledger, Event(), Lock()).bring_up(Kafka(folder))
        return ledger.record.parts["kafka"].address

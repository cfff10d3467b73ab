"""One broker for all processes of a run.

By its start and its housekeeping a broker costs as much as a hundred tests; what they put into it has their own names.
PostgreSQL and Valkey stay one a process: roles of the one, and databases of the other, are not told apart by names.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock

from pipeline.stack import StackConfig
from pipeline.stack.folder import locked, open_folder
from pipeline.stack.kafka import Kafka
from pipeline.stack.record import LOCK, Ledger
from pipeline.stack.starter import Starter
from pipeline.stack.temporary import reaped


@contextmanager
def broker_folder() -> Iterator[Path]:
    """Where a broker may be started; whatever was is gone in the end, even when this process is killed."""
    with tempfile.TemporaryDirectory(prefix="folio-broker-") as folder:
        config = StackConfig(Path(folder) / "stack", preferred_ports={})
        with reaped(config):
            yield config.directory


def address_in(directory: Path) -> str:
    """Of the broker in that folder: the first who asks starts it, and the others wait."""
    config = StackConfig(directory, preferred_ports={})
    open_folder(directory)
    with locked(directory / LOCK):
        folder = directory / "kafka"
        folder.mkdir(mode=0o700, exist_ok=True)
        ledger = Ledger(directory)
        Starter(config, ledger, Event(), Lock()).bring_up(Kafka(folder))
        return ledger.record.parts["kafka"].address

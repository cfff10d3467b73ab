"""Kafka and Valkey of an arena: the stack's own parts, the broker with a second door that leads through a link.

A broker tells its clients where to find it. Those who come by the first listener are told of that one, and are spared;
workers come by the second, and are told the port of the link.
"""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import Final

from pipeline.stack.config import StackConfig
from pipeline.stack.folder import open_folder
from pipeline.stack.kafka import PROPERTIES, Kafka
from pipeline.stack.part import KINDLY, Part
from pipeline.stack.ports import HOST
from pipeline.stack.process import Process, alive, end
from pipeline.stack.record import Ledger, write_whole
from pipeline.stack.starter import Starter
from pipeline.stack.valkey import Valkey

# Of a property that is given twice, the later line counts.
_SECOND_DOOR: Final = """\
listeners=PLAINTEXT://{host}:{kafka},LINKED://{host}:{linked},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{kafka},LINKED://{host}:{link}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,LINKED:PLAINTEXT,CONTROLLER:PLAINTEXT
"""
_STOP_SECONDS_MAX: Final = 60.0
_LOOK_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class LinkedKafka(Kafka):
    """The stack's broker with a second listener, `linked`, at which it says that it is found at `link_port`."""

    port_names: Sequence[str] = ("kafka", "controller", "linked")
    link_port: int = 0

    def environ(self) -> Mapping[str, str] | None:
        # Started again and again, it has no time in which the optimising compiler could pay for itself.
        return {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1", **os.environ}

    def _configure(self, ports: Mapping[str, int], data: Path, path: Path) -> None:
        text = (PROPERTIES + _SECOND_DOOR).format(host=HOST, data=data, link=self.link_port, **ports)
        write_whole(path, text.encode())


class Server:
    """One of the two, as faults handle it."""

    def __init__(self, starter: Starter, part: Part, folder: Path) -> None:
        self._starter = starter
        self._part = part
        self.folder = folder
        self.log = folder / "log"

    @property
    def process(self) -> Process:
        """As it was started last."""
        note = self._starter.ledger.record.parts[self._part.name]
        assert note.process is not None, "every server of an arena is its own"
        return note.process

    @property
    def running(self) -> bool:
        return alive(self.process, self.folder)

    @property
    def ports(self) -> Mapping[str, int]:
        return self._starter.ledger.record.ports

    @property
    def address(self) -> str:
        """Past the link."""
        return self._part.address(self.ports)

    def start(self) -> None:
        """Start it unless it runs, on the ports that it had; return when it answers. Raises StackFailed."""
        self._starter.bring_up(self._part)

    def kill(self) -> None:
        """SIGKILL, and it is gone."""
        self._signal(signal.SIGKILL)
        while self.running:
            time.sleep(_LOOK_SECONDS)

    def stop(self) -> None:
        """The orderly way."""
        end(self.process, self.folder, KINDLY[self._part.name], _STOP_SECONDS_MAX)

    def freeze(self) -> None:
        """SIGSTOP: connections stand, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, number)


def servers(directory: Path, broker_link_port: int) -> tuple[Server, Server]:
    """The broker and the cache of a stack folder, not started yet."""
    config = StackConfig(directory, preferred_ports={})
    open_folder(config.directory)
    starter = Starter(config, Ledger(config.directory), Event(), Lock())
    folders = [config.directory / name for name in ("kafka", "valkey")]
    for folder in folders:
        folder.mkdir(mode=0o700)
    parts: Sequence[Part] = (LinkedKafka(folders[0], link_port=broker_link_port), Valkey(folders[1]))
    broker, cache = (Server(starter, part, folder) for part, folder in zip(parts, folders, strict=True))
    return broker, cache

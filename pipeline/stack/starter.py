"""Bringing one part up: choose its ports, prepare it, start it, note it, and wait until it serves."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock

from pipeline.errors import StackFailed
from pipeline.stack.config import StackConfig
from pipeline.stack.folder import explain
from pipeline.stack.part import AT_ONCE, Part
from pipeline.stack.ports import choose, listens, taken
from pipeline.stack.probes import NotReady
from pipeline.stack.process import POLL_SECONDS, Process, alive, end, ending, spawn, strays, tail
from pipeline.stack.record import Ledger, PartRecord, running

# Between our look at a port and the server's bind, another one may take it; thrice in a row is no accident.
ATTEMPTS_MAX = 3
STRAY_PATIENCE_SECONDS = 10.0
# Whoever answers on our port and is not our process keeps it, and ours ends by itself or is ended. But the kernel has
# its table of sockets read in pieces, and one look may miss a listener that is there.
LOOKS_MAX = 20


class Died(StackFailed):
    """The process ended while we waited for it."""


@dataclass(frozen=True, slots=True)
class Starter:
    """What the parts of one `up` share. `given_up` ends the waits of all when one has failed for good."""

    config: StackConfig
    ledger: Ledger
    given_up: Event
    choosing: Lock

    def bring_up(self, part: Part) -> None:
        """Start a part, unless it already runs; return when it serves."""
        note = self.ledger.record.parts.get(part.name)
        folder = self.config.directory / part.name
        if note is not None and note.process is not None and running(self.config.directory, part.name, note):
            with contextlib.suppress(Died):
                self._wait(part, self._remembered(part), note.process, folder)
                return
        try:
            part.check()
            # A command that was killed may have left a server, or an initdb, that nobody noted.
            for stray in strays(folder):
                end(stray, folder, AT_ONCE[part.name], STRAY_PATIENCE_SECONDS)
            self._start(part, folder)
        except OSError as exc:
            raise StackFailed(f"{part.name}: {explain(exc, folder)}") from exc

    def _start(self, part: Part, folder: Path) -> None:
        for _ in range(ATTEMPTS_MAX):
            ports = self._choose_ports(part)
            part.prepare(ports)
            process = spawn(part.command(), folder, folder / "log", part.environ())
            self.ledger.started(part.name, PartRecord(part.address(ports), process))
            try:
                self._wait(part, ports, process, folder)
            except Died as died:
                self.ledger.stopped(part.name)
                if not any(taken(port) for port in ports.values()):
                    shown = tail(folder / "log")
                    raise StackFailed(f"{part.name} died while it started ({died}):\n{shown}") from None
            else:
                return
        raise StackFailed(f"{part.name}: its ports are taken again and again; see who: ss -ltnp")

    def _choose_ports(self, part: Part) -> dict[str, int]:
        with self.choosing:  # the parts start at once, and must not choose one free port twice
            chosen = dict(self.ledger.record.ports)
            ports: dict[str, int] = {}
            for name in part.port_names:
                others = {port for other, port in chosen.items() if other not in part.port_names}
                preferred = [ports_of[name] for ports_of in (chosen, self.config.preferred_ports) if name in ports_of]
                avoid = others | set(ports.values()) | set(self.config.ports.values()) - {self.config.ports.get(name)}
                ports[name] = choose(name, self.config.ports.get(name), preferred, avoid)
            self.ledger.use_ports(ports)
            return ports

    def _remembered(self, part: Part) -> Mapping[str, int]:
        ports = {name: self.ledger.record.ports[name] for name in part.port_names}
        for name, port in ports.items():
            if self.config.ports.get(name, port) != port:
                raise StackFailed(
                    f"{name} already runs on port {port}, not {self.config.ports[name]}: folio stack down"
                )
        return ports

    def _wait(self, part: Part, ports: Mapping[str, int], process: Process, folder: Path) -> None:
        """Ask again and again until the server serves, it dies, or its time is up."""
        deadline = time.monotonic() + part.ready_seconds_max
        strange = 0  # looks at which another process seemed to answer on our port
        while not self.given_up.wait(POLL_SECONDS):
            try:
                part.ready(ports)
            except NotReady as exc:
                reason, strange = str(exc), 0
            else:
                if listens(process.pid, ports[part.port_names[0]]):
                    return
                # Another server took the port between our look and this one's bind, and it answers.
                reason = "another process answers on its port"
                strange += 1
                if strange == LOOKS_MAX:
                    end(process, folder, AT_ONCE[part.name], STRAY_PATIENCE_SECONDS)
                    raise Died(reason)
            if not alive(process, folder):
                raise Died(ending(process))
            if time.monotonic() > deadline:
                raise StackFailed(
                    f"{part.name} runs but did not serve within {part.ready_seconds_max:g} s ({reason}):\n"
                    + tail(folder / "log")
                )
        raise StackFailed(f"{part.name}: given up while it started")

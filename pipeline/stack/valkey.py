"""Valkey, the cache: on loopback, in memory only, for what it holds can always be read again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.stack import probes
from pipeline.stack.config import PartName
from pipeline.stack.packages import valkey_program
from pipeline.stack.ports import HOST
from pipeline.stack.record import write_whole

# Bounded: a cache without a limit is a leak. Far more than 10,000 entries need.
MEMORY_MAX = "256mb"


@dataclass(frozen=True, slots=True)
class Valkey:
    """The cache of one stack, in a folder of its own."""

    folder: Path
    name: PartName = "valkey"
    port_names: Sequence[str] = ("valkey",)
    ready_seconds_max: float = 20.0

    def check(self) -> None:
        valkey_program()

    def prepare(self, ports: Mapping[str, int]) -> None:
        # Settings that could write files elsewhere stay protected (Valkey's default): any local user may
        # connect, and must gain nothing but the cache.
        lines = (
            f"bind {HOST}",
            f"port {ports['valkey']}",
            "daemonize no",
            'save ""',
            "appendonly no",
            f"maxmemory {MEMORY_MAX}",
            "maxmemory-policy allkeys-lru",
            "enable-protected-configs no",
            "enable-module-command no",
            "loglevel notice",
        )
        write_whole(self.folder / "valkey.conf", "\n".join((*lines, "")).encode())

    def command(self) -> Sequence[str]:
        return (valkey_program(), str(self.folder / "valkey.conf"))

    def environ(self) -> Mapping[str, str] | None:
        return None

    def address(self, ports: Mapping[str, int]) -> str:
        return f"redis://{HOST}:{ports['valkey']}/0"

    def ready(self, ports: Mapping[str, int]) -> None:
        probes.valkey(self.address(ports))

"""What `folio doctor` finds, and what its checks look at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.endpoints import SERVER_SETTINGS, external_servers
from pipeline.settings import Loaded, Settings
from pipeline.stack.config import Endpoints, PartName

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the checklist; `remedy` says what to do, and is empty only when all is well."""

    name: str
    level: Level
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What checks look at: the settings, where the stack's parts answer if it is up, and where its jars are kept."""

    loaded: Loaded
    stack: Endpoints | None
    cache: Path

    @property
    def settings(self) -> Settings:
        return self.loaded.settings

    @property
    def directory(self) -> Path:
        return self.settings.stack.dir

    @property
    def external(self) -> Mapping[PartName, str]:
        """The servers that the settings name."""
        return external_servers(self.settings)

    def address(self, part: PartName) -> tuple[str, str]:
        """Where a part answers and where that address was given; empty when nothing names one."""
        if value := self.external.get(part):
            return value, self.loaded.given[SERVER_SETTINGS[part]].where
        if self.stack is None:
            return "", ""
        addresses = {
            "postgres": self.stack.database_url,
            "kafka": self.stack.kafka_bootstrap,
            "valkey": self.stack.redis_url,
        }
        return addresses[part], f"the stack in {self.directory}"


Check = Callable[[Surroundings], Finding]

"""What `folio doctor` finds, and what its checks look at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.stack.config import VARIABLES, Endpoints, PartName

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
    """What checks look at: the environment, the stack's folder, and where its parts answer, if it is up."""

    environ: Mapping[str, str]
    directory: Path
    stack: Endpoints | None

    def address(self, part: PartName) -> tuple[str, str]:
        """Where a part answers and where that address comes from; empty when nothing names one."""
        if value := self.environ.get(VARIABLES[part]):
            return value, VARIABLES[part]
        if self.stack is None:
            return "", ""
        addresses = {
            "postgres": self.stack.database_url,
            "kafka": self.stack.kafka_bootstrap,
            "valkey": self.stack.redis_url,
        }
        return addresses[part], f"the stack in {self.directory}"


Check = Callable[[Surroundings], Finding]

"""How much of a scenario is run: short for a look within minutes, full for figures that are published."""

from dataclasses import dataclass
from typing import Literal

FormName = Literal["short", "full"]
# The product's recommendation for two cores, and what `make run` starts.
WORKERS_DEFAULT = 2


@dataclass(frozen=True, slots=True)
class Form:
    """What was asked for on the command line. None: the scenario's own choice for this form."""

    name: FormName = "short"
    workers: int = WORKERS_DEFAULT
    rounds: int | None = None
    events: int | None = None
    orgs: int | None = None
    properties_loaded: bool = False
    curves: tuple[str, ...] = ()  # of `scale`; none: all of them

    @property
    def full(self) -> bool:
        return self.name == "full"

    def rounds_or(self, short: int, full: int) -> int:
        """How many rounds: as asked for, else by form."""
        return self.rounds or (full if self.full else short)

    def events_or(self, short: int, full: int) -> int:
        """How many events: as asked for, else by form."""
        return self.events or (full if self.full else short)

"""A clock that a test holds in its hand."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.support.events import NOON


@dataclass
class HandClock:
    """Stands still until moved; may be moved back, as a machine's clock may be."""

    wall: datetime = NOON
    seconds: float = 1_000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds

    def pass_seconds(self, seconds: float) -> None:
        """Let wall time and monotonic time pass."""
        self.wall += timedelta(seconds=seconds)
        self.seconds += seconds

    def set_back(self, seconds: float) -> None:
        """Step the wall clock back; monotonic time never steps."""
        self.wall -= timedelta(seconds=seconds)

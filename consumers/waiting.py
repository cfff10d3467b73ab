"""Since when the oldest uncommitted record of a lane waits: pure, from what a worker knows of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from schemas.topics import Feed


@dataclass(slots=True)
class Waiting:
    """What is known of one feed of a lane. Instants are the broker's append times, and our own where it has none."""

    lane: int
    feed: Feed
    none_before: datetime  # every record that was appended earlier was delivered to us
    since: datetime | None = None  # None: nothing waits

    def held(self, oldest: datetime) -> None:
        """A record that we hold waits: nothing that is not delivered is older."""
        self.since = oldest

    def undelivered(self, newest_delivered: datetime | None) -> None:
        """Records wait in the topic alone, behind what was delivered: their age is known from above, never less."""
        self.since = max(self.none_before, newest_delivered or self.none_before)

    def nothing(self, seen_at: datetime) -> None:
        """All that the topic held at `seen_at` is committed."""
        self.none_before = seen_at
        self.since = None


def ages(waiting: Iterable[Waiting], now: datetime) -> dict[int, float]:
    """By lane, the age in seconds of its oldest record that waits; 0 where none does, or where clocks differ."""
    found: dict[int, float] = {}
    for each in waiting:
        age = (now - each.since).total_seconds() if each.since is not None else 0.0
        found[each.lane] = max(found.get(each.lane, 0.0), age)
    return found

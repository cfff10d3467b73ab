"""The breaker: a lane whose records are mostly poison is paused, because its producer is broken.

Dead letters lose nothing, and every one of them can be sent back. But a producer that sends nothing else fills the
table with what somebody must redrive, and each hour of it is an hour of wrong balances that nobody was told of.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from batchers.outbox import OutboxRow
from schemas.lanes import Batch, Claim
from schemas.reasons import Reason

Trip = Callable[[Claim, str], Awaitable[None]]  # pause the lane of this claim, for this reason


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a lane is paused: more than `share_max` of its last `window_records` records were refused."""

    share_max: float
    window_records: int


class PoisonWindow:
    """How many of a lane's last records were refused, by batches: the newest that make up the window together."""

    def __init__(self, records_min: int) -> None:
        self._records_min = records_min
        self._batches: deque[tuple[int, int]] = deque()
        self.records = self.poison = 0

    def add(self, records: int, poison: int) -> None:
        if not records:  # for as long as nothing counts, nothing is kept
            return
        self._batches.append((records, poison))
        self.records += records
        self.poison += poison
        while self.records - self._batches[0][0] >= self._records_min:
            old_records, old_poison = self._batches.popleft()
            self.records -= old_records
            self.poison -= old_poison

    @property
    def share(self) -> float | None:
        """None before the window is full: the first bad record of a quiet lane is not all of its traffic."""
        return self.poison / self.records if self.records >= self._records_min else None


class PoisonBreaker:
    """Watches what is committed of the claimed lanes."""

    def __init__(self, claims: Sequence[Claim], settings: BreakerSettings, trip: Trip) -> None:
        self._settings = settings
        self._trip = trip
        self._claims = {claim.lane: claim for claim in claims}
        self._accepted_until: dict[int, datetime] = {claim.lane: claim.poison_accepted_until for claim in claims}
        self._windows = {claim.lane: PoisonWindow(settings.window_records) for claim in claims}
        self._tripped: set[int] = set()

    def accept(self, lane: int, until: datetime) -> None:
        """The lane goes on: what was appended until then is let through."""
        if until > self._accepted_until[lane]:
            self._accepted_until[lane] = until
            self._windows[lane] = PoisonWindow(self._settings.window_records)
            self._tripped.discard(lane)

    async def observe(self, batch: Batch, outbox: Sequence[OutboxRow]) -> None:
        """Take note of a committed batch. Trips at most once for a lane until somebody resumes it."""
        letters = {row.lane: row.letters for row in outbox}
        for lane in batch.lanes:
            until = self._accepted_until[lane]
            of_lane = (record for slice_ in batch.slices if slice_.lane == lane for record in slice_.records)
            records = sum(record.origin.appended_at > until for record in of_lane)
            refused = [letter for letter in letters.get(lane, ()) if letter.origin.appended_at > until]
            # What an operator has set aside says nothing of its producer, and would pause the lane of its neighbours.
            set_aside = sum(letter.reason == Reason.ORG_PAUSED for letter in refused)
            window = self._windows[lane]
            window.add(records - set_aside, len(refused) - set_aside)
            share = window.share
            if share is not None and share > self._settings.share_max and lane not in self._tripped:
                self._tripped.add(lane)
                await self._trip(self._claims[lane], self._told(window))

    def _told(self, window: PoisonWindow) -> str:
        return (
            f"{window.poison:,} of the last {window.records:,} records went to the dead letters: a producer is broken "
            "(`folio dlq histogram` tells how). Mend it, then `folio resume lane`"
        )

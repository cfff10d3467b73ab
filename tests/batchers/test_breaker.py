"""The breaker: trips when a lane's last records are mostly poison, once, and lets through what was seen."""

from collections.abc import Sequence
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from batchers.breaker import BreakerSettings, PoisonBreaker, PoisonWindow
from batchers.outbox import OutboxRow
from schemas.dead_letters import dead_letter
from schemas.lanes import Batch, Claim, LaneSlice
from schemas.reasons import Reason
from schemas.records import Judged, Rejected
from tests.support.claims import claim
from tests.support.events import Offsets

GOOD, BAD, ASIDE = "good", "bad", "aside"


@given(st.lists(st.integers(0, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))), st.integers(1, 60))
def test_the_window_holds_the_newest_batches_that_fill_it(batches: list[tuple[int, int]], records_min: int) -> None:
    window = PoisonWindow(records_min)
    for records, poison in batches:
        window.add(records, poison)
    kept: list[tuple[int, int]] = []
    for batch in reversed(batches):
        if sum(records for records, _ in kept) >= records_min:
            break
        kept.append(batch)
    records, poison = sum(each[0] for each in kept), sum(each[1] for each in kept)
    assert window.share == (poison / records if records >= records_min else None)


class Desk:
    """A breaker over two lanes, that remembers when it tripped."""

    def __init__(self, share_max: float = 0.5, window_records: int = 10) -> None:
        self.tripped: list[tuple[int, str]] = []
        self.offsets = {lane: Offsets(lane) for lane in (0, 1)}
        claims = [claim(lane=lane) for lane in self.offsets]
        self.breaker = PoisonBreaker(claims, BreakerSettings(share_max, window_records), self._trip)

    async def _trip(self, of: Claim, reason: str) -> None:
        self.tripped.append((of.lane, reason))

    def _record(self, lane: int, kind: str) -> Judged:
        offsets = self.offsets[lane]
        match kind:
            case "good":
                return offsets.event(offsets.next + 1)
            case "bad":
                return offsets.record(b"{")
            case _:
                return Rejected(offsets.event(offsets.next + 1).origin, Reason.ORG_PAUSED, "organisation 1 is paused")

    async def commit(self, lanes: dict[int, Sequence[str]]) -> None:
        """A batch with good and bad records of some lanes, and such as were set aside."""
        records = {lane: [self._record(lane, kind) for kind in of_lane] for lane, of_lane in lanes.items()}
        slices = tuple(LaneSlice(lane, 1, 0, 99, of_lane) for lane, of_lane in records.items())
        batch = Batch(uuid7(), slices)
        letters = {
            lane: [dead_letter(record) for record in of_lane if isinstance(record, Rejected)]
            for lane, of_lane in records.items()
        }
        await self.breaker.observe(
            batch, [OutboxRow(lane, 1, (), batch.batch_id, of_lane) for lane, of_lane in letters.items()]
        )

    @property
    def lanes(self) -> list[int]:
        return [lane for lane, _ in self.tripped]


async def test_it_trips_when_more_than_the_share_of_a_full_window_is_poison() -> None:
    desk = Desk()
    await desk.commit({0: [BAD] * 5 + [GOOD] * 5})
    assert not desk.tripped  # exactly half
    await desk.commit({0: [BAD] * 6 + [GOOD] * 4})
    assert desk.lanes == [0]
    assert "6 of the last 10 records" in desk.tripped[0][1]


async def test_a_few_bad_records_of_a_quiet_lane_are_no_flood() -> None:
    desk = Desk()
    for _ in range(9):
        await desk.commit({0: [BAD]})
    assert not desk.tripped
    await desk.commit({0: [BAD]})
    assert desk.lanes == [0]


async def test_each_lane_has_its_own_window() -> None:
    desk = Desk()
    await desk.commit({0: [GOOD] * 10, 1: [BAD] * 10})
    assert desk.lanes == [1]


async def test_old_poison_is_forgotten() -> None:
    desk = Desk()
    await desk.commit({0: [BAD] * 9})
    await desk.commit({0: [GOOD] * 10})
    await desk.commit({0: [BAD] * 5 + [GOOD] * 5})
    assert not desk.tripped


async def test_it_trips_once_until_the_lane_is_resumed() -> None:
    desk = Desk()
    for _ in range(3):
        await desk.commit({0: [BAD] * 10})
    assert desk.lanes == [0]
    resumed_at = desk.offsets[0].appended_at
    desk.breaker.accept(0, resumed_at)
    await desk.commit({0: [BAD] * 10})  # appended before: somebody has seen it
    assert desk.lanes == [0]
    desk.breaker.accept(0, resumed_at)  # read again, two seconds later: nothing new
    desk.offsets[0].appended_at += timedelta(seconds=1)
    await desk.commit({0: [BAD] * 10})
    assert desk.lanes == [0, 0]


async def test_what_was_set_aside_of_a_paused_organisation_is_neither_poison_nor_sound() -> None:
    desk = Desk()
    await desk.commit({0: [ASIDE] * 50 + [GOOD] * 5})
    await desk.commit({0: [ASIDE] * 50 + [BAD] * 4})
    assert not desk.tripped  # nine records, not yet a window
    await desk.commit({0: [ASIDE] * 50 + [BAD] * 2})
    assert desk.lanes == [0]
    assert "6 of the last 11 records" in desk.tripped[0][1]


async def test_a_share_of_one_never_trips() -> None:
    desk = Desk(share_max=1)
    await desk.commit({0: [BAD] * 50})
    assert not desk.tripped

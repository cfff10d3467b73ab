"""The writer over the real database: batches that it will not take whole, and the marks of what came after them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from typing import TypeVar

import asyncpg
import pytest
import stamina

from batchers.books import Committed
from batchers.breaker import BreakerSettings, PoisonBreaker
from batchers.connection import WritingConnection
from batchers.drain import Drain
from batchers.gate import Gate
from batchers.gathering import Bounds, Gathering
from batchers.outbox import OutboxRow
from batchers.writer import Writer
from batchers.writers import LaneGroup, lanes_of_writer
from pipeline.clock import SystemClock
from pipeline.errors import CircuitOpen, DatabaseUnavailable, FenceLost, OutcomeUnknown
from pipeline.metrics import Metrics
from pipeline.resilience.metrics import ResilienceMetrics
from pipeline.resilience.opening import worker_guards
from pipeline.settings import DatabaseSettings
from pipeline.settings_serving import ResilienceSettings
from schemas.lanes import Batch, Claim
from schemas.routing import home_lane
from schemas.topics import Feed
from tests.batchers.conftest import MakeLedger
from tests.support.events import NOON
from tests.support.gates import OpenGate
from tests.support.ledger import Ledger
from tests.support.waiting import until

HOME = home_lane(1, 2)
AWAY = 1 - HOME
TODAY = NOON.date()
T = TypeVar("T")
# One more than fits: a day that stands here takes no event.
FULL = 2**63 - 1


@pytest.fixture(autouse=True)
def _retry_at_once() -> Iterator[None]:
    with stamina.set_testing(True, attempts=6, cap=True):
        yield


class Desk:
    """A writer with effects that only remember what they were given."""

    def __init__(self, ledger: Ledger, bounds: Bounds | None = None, gate: Gate | None = None) -> None:
        self.published: list[tuple[int, int]] = []
        self.invalidated: list[tuple[int, int]] = []
        self.tripped: list[tuple[int, str]] = []
        self.metrics = Metrics()
        epochs = {lane: claim.epoch for lane, claim in ledger.claims.items()}
        self.gathering = Gathering(bounds or Bounds(100, 1 << 20, 0, 1000, 1 << 20), SystemClock())
        for claim in ledger.claims.values():
            self.gathering.open_lane(claim)
        self.publisher = self._drain("publish", self.published, ledger.marks.published)
        self.invalidator = self._drain("invalidate", self.invalidated, ledger.marks.invalidated)
        self.writer = Writer(
            self.gathering,
            ledger.books,
            gate or OpenGate(),
            self.publisher,
            self.invalidator,
            epochs,
            PoisonBreaker(list(ledger.claims.values()), BreakerSettings(0.5, 10), self._trip),
            self.metrics,
            pause_max_seconds=0.01,
        )
        self.group = LaneGroup(self.writer, self.gathering, ledger.books, self.publisher, self.invalidator)

    async def _trip(self, claim: Claim, reason: str) -> None:
        self.tripped.append((claim.lane, reason))

    def _drain(self, name: str, done: list[tuple[int, int]], marks: dict[int, int]) -> Drain:
        async def effect(rows: Sequence[OutboxRow]) -> None:
            done.extend((row.lane, row.seq) for row in rows)

        async def reload(_lane: int, _after: int, _limit: int) -> list[OutboxRow]:
            return []

        return Drain(name, effect, reload, marks, dict(marks), waiting_max=40, pause_max_seconds=0.01)

    def records(self, outcome: str) -> float:
        return self.metrics.registry.get_sample_value("folio_records_total", {"outcome": outcome}) or 0


async def loaded_full(ledger: Ledger, property_: int) -> None:
    """A property whose day cannot take another cent."""
    await ledger.load_balance(TODAY, FULL, property_=property_)


@pytest.mark.parametrize("place", range(7))
async def test_the_record_that_the_database_cannot_hold_is_quarantined_alone(ledger: Ledger, place: int) -> None:
    await loaded_full(ledger, 9)
    records = [ledger.event(number + 1, property_=9 if number == place else 1) for number in range(7)]
    desk = Desk(ledger)
    await desk.writer.write(ledger.batch(*records))
    assert await ledger.dead_letters() == [(HOME, place, "database_rejected")]
    assert await ledger.outcomes(HOME) == {"applied": 6, "quarantined": 1}
    assert [closing for *_, closing in await ledger.days()] == [600]
    assert [closing for *_, closing in await ledger.days(property_=9)] == [FULL]
    assert (await ledger.lane(HOME))["finance_position"] == 7
    letter = (await ledger.rows("SELECT record_value, detail FROM ops.dead_letters"))[0]
    assert letter["record_value"] == records[place].origin.value
    assert "range" in letter["detail"]


async def test_a_culprit_is_found_among_several_lanes(ledger: Ledger) -> None:
    await loaded_full(ledger, 9)
    records = [
        ledger.event(1, lane=HOME),
        ledger.event(2, lane=HOME),
        ledger.event(3, lane=AWAY),
        ledger.event(4, lane=AWAY, property_=9),
    ]
    desk = Desk(ledger)
    await desk.writer.write(ledger.batch(*records))
    assert await ledger.dead_letters() == [(AWAY, 1, "database_rejected")]
    assert desk.writer.positions == {(HOME, Feed.EVENTS): 2, (AWAY, Feed.EVENTS): 2}
    assert (desk.records("applied"), desk.records("quarantined")) == (3, 1)


async def test_a_culprit_that_overflows_only_a_later_day_is_found_too(ledger: Ledger) -> None:
    await ledger.load_balance(TODAY, FULL, property_=9)
    await Desk(ledger).writer.write(
        ledger.batch(ledger.event(1), ledger.event(2, property_=9, at=NOON - timedelta(days=1)), ledger.event(3))
    )
    assert await ledger.dead_letters() == [(HOME, 1, "database_rejected")]
    assert await ledger.outcomes(HOME) == {"applied": 2, "quarantined": 1}


async def test_a_batch_that_is_too_slow_goes_in_halves(
    make_ledger: MakeLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction of more than three rows takes longer than its bound: PostgreSQL ends it."""
    ledger = await make_ledger(settings=DatabaseSettings(transaction_timeout_seconds=1))
    sizes: list[int] = []
    books_commit = ledger.books.commit

    async def slow_commit(batch: Batch) -> Committed:
        sizes.append(batch.rows)
        await (_slow_down(ledger) if batch.rows > 3 else _speed_up(ledger))
        return await books_commit(batch)

    monkeypatch.setattr(ledger.books, "commit", slow_commit)
    records = [ledger.event(number) for number in range(1, 8)]
    await Desk(ledger).writer.write(ledger.batch(*records))
    assert sizes == [7, 3, 4, 2, 2]
    assert await ledger.outcomes(HOME) == {"applied": 7}
    assert (await ledger.lane(HOME))["batches"] == 3


async def _slow_down(ledger: Ledger) -> None:
    """A statement of the next batch sleeps past the bound."""
    await _speed_up(ledger)
    await ledger.admin.execute(
        "CREATE FUNCTION ops.sleep() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(3); RETURN NULL; END $$; "
        "CREATE TRIGGER slow AFTER INSERT ON event_store.events FOR EACH STATEMENT EXECUTE FUNCTION ops.sleep()"
    )


async def _speed_up(ledger: Ledger) -> None:
    await ledger.admin.execute("DROP FUNCTION IF EXISTS ops.sleep CASCADE")


async def test_a_single_slow_record_is_tried_again_until_it_goes_in(
    make_ledger: MakeLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = await make_ledger(settings=DatabaseSettings(transaction_timeout_seconds=0.3))
    attempts = 0
    books_commit = ledger.books.commit

    async def slow_commit(batch: Batch) -> Committed:
        nonlocal attempts
        attempts += 1
        await (_slow_down(ledger) if attempts == 1 else _speed_up(ledger))
        return await books_commit(batch)

    monkeypatch.setattr(ledger.books, "commit", slow_commit)
    await Desk(ledger).writer.write(ledger.batch(ledger.event(1)))
    assert attempts == 2
    assert await ledger.outcomes(HOME) == {"applied": 1}
    assert await ledger.dead_letters() == []


async def test_a_lost_database_is_waited_for_with_the_same_batch(ledger: Ledger) -> None:
    failures = 3
    connect = ledger.connect

    async def away() -> asyncpg.Connection:
        nonlocal failures
        if failures:
            failures -= 1
            raise ConnectionRefusedError("as if PostgreSQL were down")
        return await connect()

    ledger.books._connection._connect = away
    desk = Desk(ledger)
    await desk.writer.write(ledger.batch(ledger.event(1)))
    assert not failures
    assert await ledger.outcomes(HOME) == {"applied": 1}


class ShutGate(OpenGate):
    """Refuses a few calls before it opens."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    async def call_once(self, work: Callable[[], Awaitable[T]]) -> T:
        if self.refusals:
            self.refusals -= 1
            raise CircuitOpen("postgres was not called: it was away", 0.01)
        return await work()


async def test_a_batch_that_a_gate_refuses_is_waited_with_and_goes_in_once(ledger: Ledger) -> None:
    gate = ShutGate(refusals=4)
    await Desk(ledger, gate=gate).writer.write(ledger.batch(ledger.event(1)))
    assert not gate.refusals
    assert await ledger.outcomes(HOME) == {"applied": 1}


async def test_a_commit_whose_answer_was_lost_is_made_once_by_its_gate(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What became of it is found out by the next attempt: a gate that tried again by itself could not tell."""
    metrics = ResilienceMetrics()
    guard = worker_guards(ResilienceSettings(), SystemClock(), metrics).postgres
    commit, lost = WritingConnection._commit, 1

    async def losing(connection: WritingConnection, raw: asyncpg.Connection) -> None:
        nonlocal lost
        await commit(connection, raw)
        if lost:
            lost -= 1
            raise OutcomeUnknown("COMMIT was sent and its answer was lost")

    monkeypatch.setattr(WritingConnection, "_commit", losing)
    await Desk(ledger, gate=guard).writer.write(ledger.batch(ledger.event(1)))
    assert await ledger.outcomes(HOME) == {"applied": 1}
    assert [closing for *_, closing in await ledger.days()] == [100]
    of_part = {"part": "postgres"}
    assert metrics.registry.get_sample_value("folio_retries_total", of_part) == 0
    counted = [
        metrics.registry.get_sample_value("folio_guarded_calls_total", of_part | {"evidence": evidence})
        for evidence in ("away", "answered")
    ]
    assert counted == [1, 1]


async def test_a_lost_fence_is_not_tried_again(ledger: Ledger, make_ledger: MakeLedger) -> None:
    batch = ledger.batch(ledger.event(1), ledger.event(2))
    await make_ledger()
    with pytest.raises(FenceLost):
        await Desk(ledger).writer.write(batch)


# --- after the commit ---


async def test_what_gathers_is_written_published_invalidated_and_marked(ledger: Ledger) -> None:
    desk = Desk(ledger)
    desk.gathering.add(HOME, Feed.EVENTS, [ledger.event(1), ledger.event(2)])
    desk.gathering.add(AWAY, Feed.EVENTS, [ledger.event(3, lane=AWAY)])
    desk.gathering.close()
    await asyncio.wait_for(desk.group.run(), 10)
    assert await ledger.outcomes(HOME) == {"applied": 2}
    assert sorted(desk.published) == sorted([(HOME, 1), (AWAY, 1)])
    assert desk.writer.positions == {(HOME, Feed.EVENTS): 2, (AWAY, Feed.EVENTS): 1}
    for lane, seq in desk.published:
        assert (await ledger.lane(lane))["published_seq"] == seq


async def test_marks_ride_in_the_next_batch(ledger: Ledger) -> None:
    await ledger.commit(ledger.event(1))
    ledger.marks.published[HOME] = 1
    ledger.marks.invalidated[HOME] = 1
    assert (await ledger.lane(HOME))["published_seq"] == 0
    await ledger.commit(ledger.event(2))
    row = await ledger.lane(HOME)
    assert (row["outbox_seq"], row["published_seq"], row["invalidated_seq"]) == (2, 1, 1)


async def test_marks_are_saved_alone_when_no_batch_comes(ledger: Ledger) -> None:
    await ledger.commit(ledger.event(1))
    ledger.marks.published[HOME] = 1
    epochs = {lane: claim.epoch for lane, claim in ledger.claims.items()}
    await ledger.books.save_marks(epochs)
    row = await ledger.lane(HOME)
    assert (row["published_seq"], row["invalidated_seq"], row["batches"]) == (1, 0, 1)


async def test_an_idle_writer_saves_its_marks_by_itself(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchers.writer._IDLE_SECONDS", 0.02)
    desk = Desk(ledger)
    desk.gathering.add(HOME, Feed.EVENTS, [ledger.event(1)])
    running = asyncio.ensure_future(desk.group.run())

    async def marked() -> bool:
        return bool((await ledger.lane(HOME))["invalidated_seq"] == 1)

    await until(marked)
    desk.gathering.close()
    await running


async def test_the_outbox_is_trimmed_only_behind_both_marks(ledger: Ledger) -> None:
    epochs = {lane: claim.epoch for lane, claim in ledger.claims.items()}
    for number in (1, 2, 3):
        await ledger.commit(ledger.event(number))

    async def waiting(published: int, invalidated: int) -> list[int]:
        ledger.marks.published[HOME], ledger.marks.invalidated[HOME] = published, invalidated
        await ledger.books.save_marks(epochs)
        return [row[0] for row in await ledger.rows("SELECT seq FROM ops.outbox ORDER BY seq")]

    assert await waiting(3, 0) == [1, 2, 3]
    assert await waiting(3, 1) == [2, 3]
    assert await waiting(3, 3) == []


async def test_marks_of_a_former_owner_are_ignored(ledger: Ledger, make_ledger: MakeLedger) -> None:
    await ledger.commit(ledger.event(1))
    await make_ledger()
    ledger.marks.published[HOME] = 1
    await ledger.books.save_marks({lane: claim.epoch for lane, claim in ledger.claims.items()})
    assert (await ledger.lane(HOME))["published_seq"] == 0


async def test_a_new_owner_goes_on_from_the_marks(ledger: Ledger, make_ledger: MakeLedger) -> None:
    await ledger.commit(ledger.event(1))
    await ledger.commit(ledger.event(2))
    ledger.marks.published[HOME] = 1
    await ledger.books.save_marks({lane: claim.epoch for lane, claim in ledger.claims.items()})
    successor = await make_ledger()
    claim = successor.claims[HOME]
    assert (claim.outbox_seq, claim.published_seq, claim.invalidated_seq, claim.standings[Feed.EVENTS].position) == (
        2,
        1,
        0,
        2,
    )
    assert successor.marks.unsaved([HOME]) == {}


async def test_marks_that_could_not_be_saved_stop_nothing_and_are_saved_later(ledger: Ledger) -> None:
    await ledger.commit(ledger.event(1))
    ledger.marks.published[HOME] = 1
    connect = ledger.books._connection._connect

    async def away() -> asyncpg.Connection:
        raise DatabaseUnavailable("away")

    ledger.books.discard()
    ledger.books._connection._connect = away
    desk = Desk(ledger)
    await desk.writer.save_marks()
    ledger.books._connection._connect = connect
    await desk.writer.save_marks()
    assert (await ledger.lane(HOME))["published_seq"] == 1


async def test_marks_that_a_gate_refuses_stop_nothing_either(ledger: Ledger) -> None:
    await ledger.commit(ledger.event(1))
    ledger.marks.published[HOME] = 1
    desk = Desk(ledger, gate=ShutGate(refusals=1))
    await desk.writer.save_marks()
    assert (await ledger.lane(HOME))["published_seq"] == 0
    await desk.writer.save_marks()
    assert (await ledger.lane(HOME))["published_seq"] == 1


async def test_each_half_is_published_before_the_next_is_committed(
    make_ledger: MakeLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of late events may fall into many halves: their updates must not gather in memory until the last."""
    ledger = await make_ledger()
    await loaded_full(ledger, 9)
    desk = Desk(ledger)
    published_before: list[int] = []
    books_commit = ledger.books.commit

    async def watched(batch: Batch) -> Committed:
        published_before.append(len(desk.published) + desk.publisher.depth)
        return await books_commit(batch)

    monkeypatch.setattr(ledger.books, "commit", watched)
    await desk.writer.write(ledger.batch(*(ledger.event(n, property_=9 if n == 1 else 1) for n in range(1, 9))))
    assert published_before == sorted(published_before)
    assert published_before[-1] >= 2


async def test_the_end_waits_for_the_last_invalidation(ledger: Ledger) -> None:
    """Nobody may come after us, and a cache that was not told goes on serving what it has."""
    desk = Desk(ledger)
    told = asyncio.Event()

    async def slow(rows: Sequence[OutboxRow]) -> None:
        await asyncio.sleep(0.05)
        told.set()

    desk.invalidator._effect = slow
    record = ledger.event(1)
    desk.gathering.add(HOME, Feed.EVENTS, [record])
    desk.gathering.close()
    await desk.group.run()
    assert told.is_set()
    assert (await ledger.lane(HOME))["invalidated_seq"] == 1


async def test_a_lost_cache_holds_the_end_up_for_a_moment_only(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchers.writer._LAST_INVALIDATION_SECONDS", 0.05)
    desk = Desk(ledger)

    async def lost(rows: Sequence[OutboxRow]) -> None:
        await asyncio.Event().wait()

    desk.invalidator._effect = lost
    desk.gathering.add(HOME, Feed.EVENTS, [ledger.event(1)])
    desk.gathering.close()
    await asyncio.wait_for(desk.group.run(), 10)
    row = await ledger.lane(HOME)
    assert (row["published_seq"], row["invalidated_seq"]) == (1, 0)


async def test_poison_that_is_met_again_after_a_lane_was_moved_back_leaves_one_letter(ledger: Ledger) -> None:
    poison = ledger.lanes[HOME].record(b"junk")
    await ledger.commit(poison)
    await ledger.admin.execute("UPDATE ops.lanes SET finance_position = 0 WHERE lane = $1", HOME)
    await ledger.claim()
    await ledger.commit(poison)
    assert await ledger.dead_letters() == [(HOME, 0, "malformed")]


@pytest.mark.parametrize(
    ("lanes", "wanted", "writers_max", "each"),
    [(8, 4, 4, 4), (64, 4, 4, 16), (8, 0, 4, 8), (0, 4, 4, 4), (0, 0, 4, 1), (5, 1, 2, 3)],
)
def test_more_lanes_do_not_mean_ever_more_writers(lanes: int, wanted: int, writers_max: int, each: int) -> None:
    assert lanes_of_writer(lanes, wanted, writers_max) == each

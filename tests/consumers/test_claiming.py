"""Taking lanes over: the predecessor is shut out, and we start where it had come to, or say why not."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import pytest_asyncio

import sql
from consumers.claiming import (
    Claimant,
    ClaimedLane,
    RecordedRules,
    TopicRange,
    claim_lanes,
    start_position,
    starts_and_stops,
    tell_stopped,
)
from pipeline.errors import DatabaseUnavailable, FenceLost, OffsetExpired, TopicAltered, TopicMismatch
from pipeline.settings import DatabaseSettings
from pipeline.stack import Endpoints
from pipeline.storage.connect import connect_worker
from schemas.lanes import Claim, LastRecord, Standing
from schemas.topics import Feed
from tests.support.databases import EMPTY_THE_BOOKS, a_database

LAST = LastRecord(9, datetime(2026, 3, 10, tzinfo=UTC), b"digest")
AT_TEN = Standing(10, LAST)
TOPICS = {feed: feed.value for feed in Feed}
A_CLAIM = Claim(lane=7, epoch=1, cluster_epoch="1:1", standings={}, outbox_seq=0, published_seq=0, invalidated_seq=0)
RULES = RecordedRules(timedelta(days=3660), timedelta(hours=24), "INR", "Asia/Kolkata", "register")
RETENTION = 24


# --- where to start ---


@pytest.mark.parametrize(
    ("standing", "held", "start"),
    [
        (Standing(), TopicRange(0, 0), 0),
        (Standing(), TopicRange(7, 90), 7),  # not offset 0: the topic begins later
        (AT_TEN, TopicRange(0, 90), 9),  # the last consumed record is read again, to recognise the topic
        (AT_TEN, TopicRange(9, 90), 9),
        (AT_TEN, TopicRange(10, 90), 10),  # ... where it is still there
        (AT_TEN, TopicRange(0, 10), 9),  # nothing new yet
        (replace(AT_TEN, position=4), TopicRange(0, 90), 4),  # moved back by hand, behind the last record
        (AT_TEN, TopicRange(10, 10), 10),  # everything was consumed, and has left the topic since
        (replace(AT_TEN, last=None), TopicRange(0, 90), 10),  # moved on by hand
        (replace(AT_TEN, last=replace(LAST, offset=5)), TopicRange(0, 90), 5),  # the topic skips offsets 6 to 9
    ],
)
def test_where_to_start(standing: Standing, held: TopicRange, start: int) -> None:
    assert start_position("t", standing, held) == start


def test_records_that_left_the_topic_unconsumed_stop_the_lane_and_are_counted() -> None:
    with pytest.raises(OffsetExpired, match=r"t, lane 3: records 10 to 14 .*\(5 lost\).*positions set`, to 15"):
        start_position("t, lane 3", AT_TEN, TopicRange(15, 90))


def test_a_topic_that_ends_before_the_position_is_not_the_one_we_knew() -> None:
    with pytest.raises(TopicAltered, match="the lane stands at 10, the topic ends at 4"):
        start_position("t, lane 3", AT_TEN, TopicRange(0, 4))


def test_each_feed_of_a_lane_starts_where_it_stands_and_a_lane_stops_whole() -> None:
    standings = {Feed.EVENTS: AT_TEN, Feed.CORRECTIONS: Standing(3)}
    claimed = [ClaimedLane(replace(A_CLAIM, lane=lane, standings=standings)) for lane in (6, 7)]
    held = dict.fromkeys(Feed, TopicRange(2, 90))
    starts, stops = starts_and_stops(TOPICS, claimed, {6: held, 7: held | {Feed.CORRECTIONS: TopicRange(5, 90)}})
    assert starts == {6: {Feed.EVENTS: 9, Feed.CORRECTIONS: 3}}
    assert list(stops) == [7]
    assert isinstance(stops[7], OffsetExpired)
    assert "balance-corrections, lane 7: records 3 to 4" in str(stops[7])


# --- the claim ---


@pytest_asyncio.fixture(scope="module")
async def lanes_database(stack: Endpoints, template: str) -> AsyncIterator[str]:
    """A migrated database for the tests of this module."""
    async with a_database(stack.database_url, template) as url:
        yield url


@pytest_asyncio.fixture
async def admin(lanes_database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection with every right to books that are empty."""
    connection = await asyncpg.connect(lanes_database)
    await connection.execute(EMPTY_THE_BOOKS)
    try:
        yield connection
    finally:
        await connection.close()


@pytest_asyncio.fixture
async def worker(lanes_database: str, admin: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect_worker(lanes_database, DatabaseSettings(), "test")
    try:
        yield connection
    finally:
        await connection.close()


@pytest_asyncio.fixture
async def rival(lanes_database: str) -> AsyncIterator[asyncpg.Connection]:
    """Another worker's connection; it waits for locks only briefly."""
    connection = await connect_worker(lanes_database, DatabaseSettings(lock_timeout_seconds=0.2), "test")
    try:
        yield connection
    finally:
        await connection.close()


async def take(
    connection: asyncpg.Connection, lanes: list[int], lane_count: int, owner: str, rules: RecordedRules = RULES
) -> list[Claim]:
    """Claim lanes as a worker does."""
    claimant = Claimant(owner, TOPICS, lane_count, rules, RETENTION)
    return [claimed.claim for claimed in await claim_lanes(connection, claimant, lanes)]


async def test_the_first_claim_makes_every_lane_and_takes_those_that_were_asked_for(
    worker: asyncpg.Connection,
) -> None:
    claims = await take(worker, [2, 0], 4, "one")
    nothing_yet = dict.fromkeys(Feed, Standing())
    assert [(claim.lane, claim.epoch, claim.standings) for claim in claims] == [
        (0, 1, nothing_yet),
        (2, 1, nothing_yet),
    ]
    rows = await worker.fetch("SELECT lane, owner_epoch, owner FROM ops.lanes ORDER BY lane")
    assert [tuple(row) for row in rows] == [(0, 1, "one"), (1, 0, None), (2, 1, "one"), (3, 0, None)]


async def test_each_claim_raises_the_epoch_and_tells_where_the_predecessor_stood(worker: asyncpg.Connection) -> None:
    await take(worker, [0, 1], 2, "one")
    await worker.execute(
        "UPDATE ops.lanes SET finance_position = 10, last_offset = 9, last_appended_at = '2026-03-10 00:00:00+00', "
        "last_record_hash = 'digest', corrections_position = 3, "
        "outbox_seq = 7, published_seq = 6, invalidated_seq = 5, stopped_reason = 'x' "
        "WHERE lane = 1"
    )
    _, claim = await take(worker, [0, 1], 2, "two")
    standings = {Feed.EVENTS: AT_TEN, Feed.CORRECTIONS: Standing(3)}
    assert claim == Claim(
        lane=1,
        epoch=2,
        cluster_epoch=await worker.fetchval(sql.query("cluster_epoch")),
        standings=standings,
        outbox_seq=7,
        published_seq=6,
        invalidated_seq=5,
    )
    row = await worker.fetchrow("SELECT owner, stopped_reason FROM ops.lanes WHERE lane = 1")
    assert row is not None
    assert tuple(row) == ("two", "x")


async def test_a_claim_waits_for_the_batch_that_holds_the_lane_and_sees_what_it_did(
    worker: asyncpg.Connection, admin: asyncpg.Connection
) -> None:
    await take(worker, [0], 1, "one")
    async with admin.transaction():
        await admin.execute("UPDATE ops.lanes SET finance_position = 5 WHERE lane = 0")
        claiming = asyncio.ensure_future(take(worker, [0], 1, "two"))
        done, _ = await asyncio.wait({claiming}, timeout=0.2)
        assert not done
    (claim,) = await claiming
    assert (claim.epoch, claim.standings[Feed.EVENTS].position) == (2, 5)


async def test_a_claim_that_waits_too_long_may_be_tried_again_and_has_taken_nothing(
    rival: asyncpg.Connection, worker: asyncpg.Connection
) -> None:
    await take(worker, [0, 1], 2, "one")
    async with worker.transaction():
        await worker.execute("SELECT FROM ops.lanes WHERE lane = 1 FOR UPDATE")
        with pytest.raises(DatabaseUnavailable):
            await take(rival, [0, 1], 2, "two")
    assert await worker.fetchval("SELECT max(owner_epoch) FROM ops.lanes") == 1
    assert len(await take(rival, [0, 1], 2, "two")) == 2


async def test_two_workers_that_claim_at_once_for_the_first_time_do_not_disturb_each_other(
    worker: asyncpg.Connection, rival: asyncpg.Connection
) -> None:
    first, second = await asyncio.gather(take(worker, [0, 1], 4, "one"), take(rival, [2, 3], 4, "two"))
    assert [claim.lane for claim in (*first, *second)] == [0, 1, 2, 3]
    assert await worker.fetchval("SELECT count(*) FROM ops.lanes") == 4


@pytest.mark.parametrize("partitions", [2, 8], ids=["fewer", "more"])
async def test_a_topic_with_another_number_of_partitions_is_refused_and_nothing_changes(
    worker: asyncpg.Connection, partitions: int
) -> None:
    """More would move the homes of organisations under a running stream, and nobody would see it."""
    await take(worker, [0], 4, "one")
    with pytest.raises(TopicMismatch, match=rf"4 lanes, the topic has {partitions} partitions"):
        await take(worker, [0], partitions, "two")
    rows = await worker.fetch("SELECT lane, owner_epoch FROM ops.lanes ORDER BY lane")
    assert [tuple(row) for row in rows] == [(0, 1), (1, 0), (2, 0), (3, 0)]


async def test_a_claim_that_waited_for_a_growth_is_refused_and_takes_nothing(
    worker: asyncpg.Connection, admin: asyncpg.Connection
) -> None:
    await take(worker, [0], 2, "one")
    async with admin.transaction():
        await admin.fetch(sql.query("lock_lanes"))
        claiming = asyncio.ensure_future(take(worker, [0], 2, "two"))
        done, _ = await asyncio.wait({claiming}, timeout=0.2)
        assert not done
        await admin.execute(sql.query("ensure_lanes"), 4)
    with pytest.raises(TopicMismatch, match="the database knows 4 lanes"):
        await claiming
    assert await worker.fetchval("SELECT owner_epoch FROM ops.lanes WHERE lane = 0") == 1


async def test_a_worker_without_lanes_claims_nothing(worker: asyncpg.Connection) -> None:
    assert await take(worker, [], 2, "one") == []


# --- what is told beside ---


async def test_a_stopped_lane_says_why_until_its_owner_says_that_it_goes_on(worker: asyncpg.Connection) -> None:
    """Also while its next owner has not looked yet whether it can: the broker may be away."""
    (claim,) = await take(worker, [0], 1, "one")
    await tell_stopped(worker, claim, "records are gone")
    (claimed,) = await claim_lanes(worker, Claimant("two", TOPICS, 1, RULES, RETENTION), [0])
    assert claimed.was_stopped
    assert await worker.fetchval("SELECT stopped_reason FROM ops.lanes") == "records are gone"
    await tell_stopped(worker, claimed.claim, None)
    (claimed,) = await claim_lanes(worker, Claimant("two", TOPICS, 1, RULES, RETENTION), [0])
    assert not claimed.was_stopped


async def test_a_former_owner_cannot_stop_a_lane(worker: asyncpg.Connection) -> None:
    (claim,) = await take(worker, [0], 1, "one")
    await take(worker, [0], 1, "two")
    with pytest.raises(FenceLost, match="lane 0 was claimed by another worker"):
        await tell_stopped(worker, claim, "of no concern")
    assert await worker.fetchval("SELECT stopped_reason FROM ops.lanes") is None


async def test_rules_of_a_lane_that_was_never_consumed_hold_from_its_first_record(worker: asyncpg.Connection) -> None:
    await take(worker, [0], 1, "one")
    rows = await worker.fetch("SELECT finance_position, corrections_position FROM ops.lane_rules WHERE lane = 0")
    assert [tuple(row) for row in rows] == [(0, 0)]


async def stand_at(connection: asyncpg.Connection, position: int) -> None:
    await connection.execute("UPDATE ops.lanes SET finance_position = $1", position)


async def test_rules_are_recorded_when_they_change_and_not_with_every_claim(worker: asyncpg.Connection) -> None:
    stricter = replace(RULES, future_max=timedelta(hours=1))
    await take(worker, [0], 1, "one")
    for position, rules in ((7, RULES), (9, stricter), (12, stricter), (15, RULES)):
        await stand_at(worker, position)
        await take(worker, [0], 1, "one", rules)
    rows = await worker.fetch("SELECT finance_position, future_max FROM ops.lane_rules WHERE lane = 0 ORDER BY 1")
    assert [tuple(row) for row in rows] == [
        (0, timedelta(hours=24)),
        (9, timedelta(hours=1)),
        (15, timedelta(hours=24)),
    ]


async def test_rules_that_change_twice_before_the_next_record_leave_the_last(worker: asyncpg.Connection) -> None:
    await take(worker, [0], 1, "one")
    await take(worker, [0], 1, "two", replace(RULES, default_currency="USD"))
    rows = await worker.fetch("SELECT finance_position, default_currency FROM ops.lane_rules")
    assert [tuple(row) for row in rows] == [(0, "USD")]

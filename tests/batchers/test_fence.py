"""The fence on a real database: whoever is not the owner, or does not stand where the lane stands, writes nothing."""

import asyncio
import itertools
from dataclasses import replace
from datetime import timedelta
from hashlib import blake2b

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from batchers.fence import check_fence, lanes_to_lock
from batchers.halving import halves
from pipeline.errors import DatabaseUnavailable, FenceLost
from pipeline.settings import DatabaseSettings
from schemas.chain import decode_head
from schemas.lanes import Batch, LaneSlice
from schemas.routing import home_lane
from schemas.topics import Feed
from tests.batchers.conftest import MakeLedger
from tests.support.events import Offsets
from tests.support.ledger import Ledger

HOME = home_lane(1, 2)
AWAY = 1 - HOME
SOON = 0.2  # long enough for a transaction that does not wait


async def books_are_empty(ledger: Ledger) -> bool:
    stored = await ledger.stored()
    return not (stored or await ledger.days() or (await ledger.lane(HOME))["batches"])


async def test_a_claim_of_another_worker_shuts_the_batch_out(ledger: Ledger, make_ledger: MakeLedger) -> None:
    batch = ledger.batch(ledger.event())
    await make_ledger()
    with pytest.raises(FenceLost, match="is in epoch 2, our claim was 1"):
        await ledger.put(batch)
    assert await books_are_empty(ledger)


async def test_a_claim_of_one_lane_shuts_the_whole_batch_out(ledger: Ledger) -> None:
    batch = ledger.batch(ledger.event(1), ledger.event(2, lane=AWAY))
    await ledger.admin.execute("UPDATE ops.lanes SET owner_epoch = owner_epoch + 1 WHERE lane = $1", AWAY)
    with pytest.raises(FenceLost):
        await ledger.put(batch)
    assert await books_are_empty(ledger)


async def test_a_batch_that_does_not_begin_where_the_lane_stands_is_shut_out(ledger: Ledger) -> None:
    await ledger.commit(ledger.event(1))
    ledger.event(2)  # skipped
    ledger.positions[HOME, Feed.EVENTS] = 2
    with pytest.raises(FenceLost, match="stands at 1 of finance-events, our batch begins at 2"):
        await ledger.commit(ledger.event(3))
    assert await ledger.stored() == [(1, 1, "applied")]


async def test_the_same_records_under_another_batch_id_are_shut_out(ledger: Ledger) -> None:
    record = ledger.event(1)
    await ledger.commit(record)
    ledger.positions[HOME, Feed.EVENTS] = 0
    with pytest.raises(FenceLost):
        await ledger.commit(record)
    assert await ledger.days() == [(record.event.occurred_at.date(), 1, 0, 100)]


async def test_an_unknown_lane_is_shut_out(ledger: Ledger) -> None:
    batch = ledger.batch(ledger.event())
    with pytest.raises(FenceLost, match=f"lane {HOME} is unknown"):
        check_fence(batch, {})


async def test_of_two_owners_in_turn_each_sees_what_the_other_left(ledger: Ledger, make_ledger: MakeLedger) -> None:
    await ledger.commit(ledger.event(1))
    successor = await make_ledger()
    successor.lanes = ledger.lanes
    await successor.commit(successor.event(2))
    assert (await ledger.lane(HOME))["owner_epoch"] == 2
    with pytest.raises(FenceLost):
        await ledger.commit(ledger.event(3))
    successor.lanes[HOME].next = 2
    await successor.commit(successor.event(3))
    assert [closing for *_, closing in await ledger.days()] == [300]


async def test_of_two_owners_at_once_exactly_one_gets_each_batch_in(ledger: Ledger, make_ledger: MakeLedger) -> None:
    """Both believe in the same epoch, as if the claim had been forged: the positions still let each record in once."""
    twin = await make_ledger()
    twin.claims = ledger.claims
    await ledger.admin.execute("UPDATE ops.lanes SET owner_epoch = 1")
    for number in range(5):
        record = ledger.event(number + 1)
        results = await asyncio.gather(ledger.commit(record), twin.commit(record), return_exceptions=True)
        assert sorted(isinstance(result, FenceLost) for result in results) == [False, True]
        ledger.positions[HOME, Feed.EVENTS] = twin.positions[HOME, Feed.EVENTS] = number + 1
    assert [closing for *_, closing in await ledger.days()] == [500]
    assert (await ledger.lane(HOME))["applied"] == 5


async def test_corrections_that_do_not_begin_where_the_lane_stands_are_shut_out(ledger: Ledger) -> None:
    """Each feed of a lane has a position of its own; both are compared."""
    await ledger.commit(ledger.event(1), ledger.correction(declared=5))
    again = ledger.batch(ledger.event(2), ledger.correction(declared=6))
    ledger.positions[HOME, Feed.CORRECTIONS] = 0
    late = ledger.batch(ledger.event(3), ledger.correction(declared=7))
    with pytest.raises(FenceLost, match="stands at 1 of balance-corrections, our batch begins at 0"):
        await ledger.books.commit(late)
    await ledger.put(again)
    row = await ledger.lane(HOME)
    assert (row["finance_position"], row["corrections_position"]) == (2, 2)


# --- home lanes ---


async def test_a_batch_locks_its_lanes_and_the_homes_of_its_organisations() -> None:
    three, five = Offsets(3), Offsets(5)
    slices = (
        LaneSlice(3, 1, 0, 2, [three.event(org=1), three.event(org=2)]),
        LaneSlice(5, 1, 0, 1, [five.event(org=3)]),
    )
    assert lanes_to_lock(Batch(uuid7(), slices), 8) == {3, 5, *(home_lane(org, 8) for org in (1, 2, 3))}


async def test_a_misrouted_organisation_waits_for_its_home_lane(ledger: Ledger) -> None:
    async with ledger.admin.transaction():
        await ledger.admin.execute("SELECT FROM ops.lanes WHERE lane = $1 FOR UPDATE", HOME)
        committing = asyncio.ensure_future(ledger.commit(ledger.event(1, lane=AWAY)))
        done, _ = await asyncio.wait({committing}, timeout=SOON)
        assert not done
    await committing
    row = await ledger.lane(AWAY)
    assert (row["applied"], row["misrouted"]) == (1, 1)


async def test_a_well_routed_organisation_does_not_wait_for_other_lanes(ledger: Ledger) -> None:
    other = next(org for org in range(2, 50) if home_lane(org, 2) == AWAY)
    async with ledger.admin.transaction():
        await ledger.admin.execute("SELECT FROM ops.lanes WHERE lane = $1 FOR UPDATE", HOME)
        await asyncio.wait_for(ledger.commit(ledger.event(1, org=other)), 5)
    assert (await ledger.lane(AWAY))["misrouted"] == 0


async def test_misrouted_events_of_one_property_from_two_writers_lose_nothing(
    ledger: Ledger, make_ledger: MakeLedger
) -> None:
    neighbour = await make_ledger()
    await ledger.claim(HOME)
    await neighbour.claim(AWAY)
    for number in range(1, 7):
        await asyncio.gather(
            ledger.commit(ledger.event(number, amount=1)),
            neighbour.commit(neighbour.event(100 + number, amount=10, lane=AWAY)),
        )
    assert [(version, closing) for _, version, _, closing in await ledger.days()] == [(12, 66)]
    assert await ledger.value("SELECT count(*) FROM finance.properties") == 1


async def test_a_wait_for_a_lock_has_a_bound_and_may_be_tried_again(make_ledger: MakeLedger) -> None:
    ledger = await make_ledger(settings=DatabaseSettings(lock_timeout_seconds=0.1))
    batch = ledger.batch(ledger.event(1))
    async with ledger.admin.transaction():
        await ledger.admin.execute("SELECT FROM ops.lanes WHERE lane = $1 FOR UPDATE", HOME)
        with pytest.raises(DatabaseUnavailable, match="lock timeout"):
            await ledger.put(batch)
    await ledger.put(batch)
    assert await ledger.outcomes(HOME) == {"applied": 1}


# --- where the lane stands afterwards ---


async def test_the_lane_remembers_its_last_record(ledger: Ledger) -> None:
    records = [ledger.event(1), ledger.lanes[HOME].record(b"junk")]
    await ledger.commit(*records)
    row = await ledger.lane(HOME)
    key_and_value = b"1\x00junk"
    assert (row["finance_position"], row["last_offset"], row["last_appended_at"]) == (
        *(2, 1),
        records[1].origin.appended_at,
    )
    assert row["last_record_hash"] == blake2b(key_and_value, digest_size=16).digest()


@pytest.mark.parametrize("size", [1, 2, 7])
async def test_counters_are_the_same_for_every_size_of_batch(ledger: Ledger, size: int) -> None:
    lane = ledger.lanes[HOME]
    records = [
        *(ledger.event(number, amount=number) for number in (1, 2, 3)),
        *(ledger.event(1, version, amount=9) for version in (3, 2, 3)),
        lane.record(b"junk"),
    ]
    for first in range(0, len(records), size):
        await ledger.commit(*records[first : first + size])
    row = await ledger.lane(HOME)
    assert await ledger.outcomes(HOME) == {"applied": 4, "stale": 1, "duplicate": 1, "quarantined": 1}
    assert (row["version_gaps"], row["batches"]) == (1, -(-7 // size))


async def test_each_lane_of_a_batch_has_a_link_of_its_own_on_the_one_before(ledger: Ledger) -> None:
    await ledger.commit(ledger.event(1, lane=HOME), ledger.event(2, lane=AWAY), ledger.event(3, lane=AWAY))
    committed = await ledger.commit(ledger.event(4, lane=AWAY), ledger.correction(lane=AWAY))
    links = await ledger.rows("SELECT * FROM event_store.chain_links ORDER BY lane, seq")
    found = {(row["lane"], row["seq"], row["events"], row["corrections"]) for row in links}
    assert found == {(HOME, 1, 1, 0), (AWAY, 1, 2, 0), (AWAY, 2, 1, 1)}
    of_away = [row for row in links if row["lane"] == AWAY]
    assert [row["previous_head"] for row in of_away] == [bytes(16), of_away[0]["head"]]
    row = await ledger.lane(AWAY)
    assert (row["chain_seq"], row["chain_head"]) == (2, of_away[1]["head"])
    (told,) = [decode_head(row.chain_head) for row in committed.outbox if row.chain_head is not None]
    assert (told.lane, told.seq, told.head) == (AWAY, 2, of_away[1]["head"].hex())


async def test_what_stores_nothing_of_a_lane_makes_no_link(ledger: Ledger) -> None:
    await ledger.commit(ledger.event(1))
    committed = await ledger.commit(ledger.event(1), ledger.lanes[HOME].record(b"junk"))
    assert [row.chain_head for row in committed.outbox] == [None]
    assert (await ledger.lane(HOME))["chain_seq"] == 1


async def test_halves_go_in_one_after_the_other(ledger: Ledger) -> None:
    whole = ledger.batch(*(ledger.event(number) for number in range(1, 6)), ledger.event(9, lane=AWAY))
    for half in halves(whole):
        for quarter in halves(half) if half.rows > 1 else (half,):
            await ledger.put(quarter)
    assert [closing for *_, closing in await ledger.days()] == [600]


async def test_instants_of_recording_rise_within_a_lane_also_when_the_clock_steps_back(ledger: Ledger) -> None:
    for step in (0, 3600, -1, 7200):
        ledger.clock.set_back(step)
        await ledger.commit(ledger.event(ledger.lanes[HOME].next + 1), ledger.event(ledger.lanes[HOME].next + 1))
    rows = await ledger.rows("SELECT recorded_at FROM event_store.events ORDER BY record_offset")
    instants = [row["recorded_at"] for row in rows]
    assert len(instants) == 8
    assert all(earlier < later for earlier, later in itertools.pairwise(instants))
    assert instants[-1] - instants[0] < timedelta(seconds=2)
    assert (await ledger.lane(HOME))["last_recorded_at"] >= instants[-1]


async def test_a_new_owner_with_a_slow_clock_records_after_its_predecessor(
    ledger: Ledger, make_ledger: MakeLedger
) -> None:
    await ledger.commit(ledger.event(1))
    successor = await make_ledger()
    successor.lanes = ledger.lanes
    successor.clock.set_back(1000)
    await successor.commit(successor.event(2))
    rows = await ledger.rows("SELECT recorded_at FROM event_store.events ORDER BY record_offset")
    assert rows[0][0] < rows[1][0]


async def test_events_of_one_organisation_on_two_lanes_are_recorded_in_the_order_of_their_commits(
    ledger: Ledger, make_ledger: MakeLedger
) -> None:
    """Two workers, one with a slow clock; both lock the organisation's home lane, and it remembers for them."""
    slow = await make_ledger()
    slow.lanes = ledger.lanes
    slow.clock.set_back(1000)
    await ledger.claim(AWAY)
    await slow.claim(HOME)
    await ledger.commit(ledger.event(1, 1, lane=AWAY))
    await slow.commit(slow.event(1, 2, lane=HOME))
    await ledger.commit(ledger.event(1, 3, lane=AWAY))
    rows = await ledger.rows("SELECT version FROM event_store.events ORDER BY recorded_at")
    assert [row[0] for row in rows] == [1, 2, 3]


async def test_staging_is_emptied_by_each_commit(ledger: Ledger) -> None:
    connection = await ledger.connect()
    try:
        await connection.execute("BEGIN")
        await connection.copy_records_to_table("staging_events", records=[(1,)], columns=["org_id"])
        await connection.execute("COMMIT")
        assert await connection.fetchval("SELECT count(*) FROM staging_events") == 0
    finally:
        await connection.close()


async def test_a_writer_holds_no_more_rights_than_it_needs(ledger: Ledger) -> None:
    connection = await ledger.connect()
    try:
        assert await connection.fetchval("SELECT current_user") == "folio_writer"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM ops.dead_letters")
    finally:
        await connection.close()


async def test_books_of_a_primary_that_was_replaced_are_shut_out_with_their_marks(ledger: Ledger) -> None:
    """Whatever else matches: the standby may lack the claim, and give its number to another worker."""
    committed = await ledger.commit(ledger.event(1))
    (row,) = committed.outbox
    lane = ledger.claims[row.lane]
    ledger.claims = {row.lane: replace(lane, cluster_epoch="7000000000000000000-1")}
    ledger.books.discard()
    ledger.books = ledger._new_books()
    ledger.marks.published[row.lane] = ledger.marks.invalidated[row.lane] = row.seq
    with pytest.raises(FenceLost, match="the database was taken over"):
        await ledger.commit(ledger.event(2))
    with pytest.raises(FenceLost, match="the database was taken over"):
        await ledger.books.save_marks({row.lane: lane.epoch})
    assert await ledger.stored() == [(1, 1, "applied")]
    assert (await ledger.lane(row.lane))["published_seq"] == 0

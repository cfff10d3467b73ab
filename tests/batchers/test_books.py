"""The transaction on a real database: every outcome, and where the money then stands."""

from datetime import date, timedelta
from uuid import uuid4

import msgspec
import pytest

from batchers.decide import Outcome
from pipeline.errors import DatabaseUnavailable
from schemas.routing import home_lane
from schemas.topics import Feed
from tests.batchers.conftest import MakeLedger
from tests.support.events import NOON, encoded, event
from tests.support.ledger import Ledger

TODAY, TOMORROW = date(2026, 3, 10), date(2026, 3, 11)
DAY = timedelta(days=1)
HOME = home_lane(1, 2)


async def test_an_event_reaches_every_table(ledger: Ledger) -> None:
    record = ledger.event(5, amount=100, category="room", description="ब्याज", bank_reference="x", source="pos")
    committed = await ledger.commit(record)
    assert await ledger.days() == [(TODAY, 1, 0, 100)]
    assert await ledger.transactions() == [(5, 1, 100, "approved", TODAY, "finance.revenues_2026_03")]
    assert await ledger.stored() == [(5, 1, "applied")]
    assert await ledger.outcomes(HOME) == {"applied": 1}
    assert await ledger.value("SELECT event_data FROM event_store.events") == record.origin.value
    snapshot = (await ledger.rows("SELECT * FROM event_store.snapshots"))[0]
    assert (snapshot["version"], snapshot["contribution_cents"], snapshot["balance_date"]) == (1, 100, TODAY)
    assert snapshot["content_hash"] == record.content_hash
    row = (await ledger.rows("SELECT * FROM finance.revenues_partitioned"))[0]
    assert (row["category"], row["description"], row["bank_reference"], row["source"], row["currency"]) == (
        *("room", "ब्याज", "x", "pos"),
        "INR",
    )
    assert (row["created_by_user_id"], row["approved_by_user_id"], row["created_at"]) == (
        *(7, 7),
        record.origin.appended_at,
    )
    assert (committed.outcomes[Outcome.APPLIED], committed.positions) == (1, {(HOME, Feed.EVENTS): 1})


async def test_what_subscribers_hear_is_what_the_table_says(ledger: Ledger) -> None:
    committed = await ledger.commit(ledger.event(1, amount=100), ledger.event(2, kind="expense", amount=30))
    (row,) = committed.outbox
    ((update, line),) = row.updates
    balance = (await ledger.rows("SELECT * FROM finance.daily_cash_balances_partitioned"))[0]
    names = [name for name in update.__struct_fields__ if name.endswith("_cents") or name in ("version", "org_id")]
    assert {name: getattr(update, name) for name in names} == {name: balance[name] for name in names}
    assert (update.changed_at, update.event_id) == (balance["updated_at"], balance["last_event_id"])
    assert await ledger.value("SELECT updates FROM ops.outbox") == line
    system = await ledger.value("SELECT system_identifier FROM pg_control_system()")
    timeline = await ledger.value("SELECT timeline_id FROM pg_control_checkpoint()")
    assert update.epoch == f"{system}-{timeline}"


async def test_newest_version_wins_whatever_the_order(ledger: Ledger) -> None:
    for version in (2, 1, 4, 3):
        await ledger.commit(ledger.event(version=version, amount=version * 10))
    assert await ledger.days() == [(TODAY, 2, 0, 40)]
    assert await ledger.stored() == [(1, 2, "applied"), (1, 1, "stale"), (1, 4, "applied"), (1, 3, "stale")]
    assert await ledger.outcomes(HOME) == {"applied": 2, "stale": 2}
    assert (await ledger.lane(HOME))["version_gaps"] == 2


async def test_a_late_version_is_told_apart_by_what_the_store_holds(ledger: Ledger) -> None:
    for version, amount in ((1, 10), (5, 50), (1, 10), (1, 11), (2, 20), (2, 20), (2, 21)):
        await ledger.commit(ledger.event(version=version, amount=amount))
    assert await ledger.outcomes(HOME) == {"applied": 2, "duplicate": 2, "conflict": 2, "stale": 1}
    assert await ledger.stored() == [(1, 1, "applied"), (1, 5, "applied"), (1, 2, "stale")]
    assert await ledger.dead_letters() == [(HOME, 3, "version_conflict"), (HOME, 6, "version_conflict")]
    assert await ledger.days() == [(TODAY, 2, 0, 50)]


async def test_a_redelivery_of_the_booked_version_behind_a_newer_one_of_its_batch_is_a_duplicate(
    ledger: Ledger,
) -> None:
    await ledger.commit(ledger.event(version=1, amount=10))
    await ledger.commit(ledger.event(version=2, amount=20), ledger.event(version=1, amount=10))
    assert await ledger.outcomes(HOME) == {"applied": 2, "duplicate": 1}
    assert await ledger.stored() == [(1, 1, "applied"), (1, 2, "applied")]


async def test_a_duplicate_may_be_written_in_other_bytes(ledger: Ledger) -> None:
    lane = ledger.lanes[HOME]
    body = event(1, amount=100, category="room")
    again = msgspec.json.format(msgspec.json.encode(dict(reversed(body.items())) | {"trace": "x"}), indent=4)
    moved_offset = encoded(body | {"occurred_at": "2026-03-10T17:30:00.000+05:30", "event_id": str(uuid4())})
    records = [lane.record(value) for value in (encoded(body), again, moved_offset)]
    await ledger.commit(records[0])
    await ledger.commit(*records[1:])
    assert await ledger.outcomes(HOME) == {"applied": 1, "duplicate": 2}


async def test_poison_goes_to_the_dead_letters_with_its_bytes_and_its_neighbours_go_on(ledger: Ledger) -> None:
    lane = ledger.lanes[HOME]
    poison = b'{"type": "\xff\x00 not json'
    committed = await ledger.commit(ledger.event(1), lane.record(poison, key=None), lane.record(None), ledger.event(2))
    assert await ledger.outcomes(HOME) == {"applied": 2, "quarantined": 2}
    assert await ledger.dead_letters() == [(HOME, 1, "malformed"), (HOME, 2, "empty")]
    rows = await ledger.rows("SELECT record_key, record_value FROM ops.dead_letters ORDER BY record_offset")
    assert [tuple(row) for row in rows] == [(None, poison), (b"1", None)]
    assert await ledger.days() == [(TODAY, 1, 0, 200)]
    assert committed.positions == {(HOME, Feed.EVENTS): 4}


async def test_a_batch_of_poison_alone_moves_the_lane_and_leaves_its_letter(ledger: Ledger) -> None:
    committed = await ledger.commit(ledger.lanes[HOME].record(b"junk"))
    assert (await ledger.lane(HOME))["finance_position"] == 1
    (row,) = committed.outbox
    assert not row.updates
    assert [(letter.origin.value, letter.reason) for letter in row.letters] == [(b"junk", "malformed")]
    assert await ledger.days() == []


async def test_headers_are_kept_with_event_and_dead_letter(ledger: Ledger) -> None:
    good, bad = ledger.event(1), ledger.lanes[HOME].record(b"junk")
    with_headers = [
        msgspec.structs.replace(record, origin=msgspec.structs.replace(record.origin, headers=(("ce_id", b"\x001"),)))
        for record in (good, bad)
    ]
    await ledger.commit(*with_headers)
    packed = msgspec.msgpack.encode([["ce_id", b"\x001"]])
    assert await ledger.value("SELECT headers FROM event_store.events") == packed
    assert await ledger.value("SELECT headers FROM ops.dead_letters") == packed


# --- moves ---


@pytest.mark.parametrize("one_batch", [True, False])
async def test_a_transaction_that_moves_to_another_day_leaves_the_old_one(ledger: Ledger, one_batch: bool) -> None:
    await ledger.commit(ledger.event(2, amount=1))
    records = [ledger.event(amount=100), ledger.event(version=2, amount=70, at=NOON + DAY)]
    for batch in [records] if one_batch else [[record] for record in records]:
        await ledger.commit(*batch)
    assert [(day, closing) for day, _, _, closing in await ledger.days()] == [(TODAY, 1), (TOMORROW, 71)]
    assert [row[:5] for row in await ledger.transactions()] == [
        (1, 2, 70, "approved", TOMORROW),
        (2, 1, 1, "approved", TODAY),
    ]


@pytest.mark.parametrize("kind", ["revenue", "expense"])
async def test_a_transaction_that_moves_to_another_month_leaves_the_old_partition(ledger: Ledger, kind: str) -> None:
    await ledger.commit(ledger.event(kind=kind))
    await ledger.commit(ledger.event(version=2, kind=kind, at=NOON - 20 * DAY))
    table = f"{kind}s"
    assert [row[-1] for row in await ledger.transactions(table)] == [f"finance.{table}_2026_02"]
    days = [day for day, *_ in await ledger.days()]
    assert days == [TODAY - 20 * DAY, TODAY]


async def test_a_transaction_that_moves_within_its_day_is_there_once(ledger: Ledger) -> None:
    await ledger.commit(ledger.event(amount=100))
    await ledger.commit(ledger.event(version=2, amount=100, at=NOON + timedelta(minutes=1)))
    assert len(await ledger.transactions()) == 1
    assert await ledger.days() == [(TODAY, 1, 0, 100)]  # no money moved: the row keeps its version


async def test_a_transaction_may_move_to_another_property(ledger: Ledger) -> None:
    await ledger.commit(ledger.event(amount=100))
    await ledger.commit(ledger.event(version=2, amount=90, property_=2))
    assert await ledger.days(property_=1) == [(TODAY, 2, 0, 0)]
    assert await ledger.days(property_=2) == [(TODAY, 1, 0, 90)]
    assert len(await ledger.transactions()) == 1


async def test_a_deleted_transaction_counts_nothing_and_a_higher_version_revives_it(ledger: Ledger) -> None:
    for version, status in enumerate(["approved", "deleted", "approved"], 1):
        await ledger.commit(ledger.event(version=version, status=status, amount=100))
    assert await ledger.days() == [(TODAY, 3, 0, 100)]
    assert [row[:4] for row in await ledger.transactions()] == [(1, 3, 100, "approved")]
    await ledger.commit(ledger.event(version=4, status="deleted", amount=100))
    assert [row[:4] for row in await ledger.transactions()] == [(1, 4, 100, "deleted")]


async def test_pending_money_counts_when_it_is_approved(ledger: Ledger) -> None:
    await ledger.commit(ledger.event(status="pending"))
    assert await ledger.days() == []
    await ledger.commit(ledger.event(version=2, verb="approved"))
    assert await ledger.days() == [(TODAY, 1, 0, 100)]


# --- carry-forward ---


async def test_a_late_event_carries_into_the_days_that_are_there_and_only_they_get_a_new_version(
    ledger: Ledger,
) -> None:
    ledger.lanes[HOME].appended_at += 3 * DAY
    for days in (0, 1, 3):
        await ledger.commit(ledger.event(10 + days, amount=100, at=NOON + days * DAY))
    await ledger.commit(ledger.event(20, property_=2, at=NOON + DAY))
    committed = await ledger.commit(ledger.event(1, amount=5, at=NOON + DAY))
    assert await ledger.days() == [
        (TODAY, 1, 0, 100),
        (TOMORROW, 2, 100, 205),
        (TODAY + 3 * DAY, 2, 205, 305),
    ]
    assert await ledger.days(property_=2) == [(TOMORROW, 1, 0, 100)]
    updates = [(encoded.update.balance_date, encoded.update.cause) for encoded in committed.outbox[0].updates]
    assert updates == [(TOMORROW, "event"), (TODAY + 3 * DAY, "carry_forward")]


async def test_a_counted_day_takes_the_late_event_as_its_discrepancy(ledger: Ledger) -> None:
    """Opening 0, D1 +100, D2 counted 90; late D1 +20: D2 is 30 short, D3 still opens at 90."""
    ledger.lanes[HOME].appended_at += 2 * DAY
    await ledger.commit(ledger.event(1, amount=100))
    await ledger.admin.execute(
        "INSERT INTO finance.daily_cash_balances_partitioned "
        "VALUES (1, 1, '2026-03-11', 1, 100, 0, 0, 0, 0, 100, 90, 90, -10, NULL, now())"
    )
    await ledger.commit(ledger.event(2, amount=5, at=NOON + 2 * DAY))
    await ledger.commit(ledger.event(3, amount=20))
    assert await ledger.days() == [
        (TODAY, 2, 0, 120),
        (TOMORROW, 2, 120, 90),
        (TODAY + 2 * DAY, 1, 90, 95),
    ]
    assert (
        await ledger.value(
            "SELECT balance_discrepancy_cents FROM finance.daily_cash_balances_partitioned "
            "WHERE balance_date = '2026-03-11'"
        )
        == -30
    )


async def test_days_open_with_the_opening_cash_of_a_loaded_property(ledger: Ledger) -> None:
    await ledger.admin.execute(
        "INSERT INTO finance.properties VALUES (1, 1, 'Lake View', 'INR', 5000, false, now()); "
        "INSERT INTO finance.property_time_zones VALUES (1, 1, '0001-01-01 00:00:00+00', 'Pacific/Auckland')"
    )
    await ledger.commit(ledger.event(amount=100))
    assert await ledger.days() == [(TOMORROW, 1, 5000, 5100)]  # 12:00 in UTC is past midnight there


# --- properties ---


async def test_an_unknown_property_registers_itself_once(ledger: Ledger) -> None:
    await ledger.commit(ledger.event(1, currency="USD"), ledger.event(2), ledger.event(3, property_=2))
    await ledger.commit(ledger.event(4), ledger.event(5, currency="USD"))
    rows = await ledger.rows(
        "SELECT property_id, currency, opening_cash_cents, self_registered, valid_from, time_zone "
        "FROM finance.properties JOIN finance.property_time_zones USING (org_id, property_id) ORDER BY property_id"
    )
    beginning = "0001-01-01T00:00:00+00:00"
    assert [(*row[:4], row[4].isoformat(), row[5]) for row in rows] == [
        (1, "USD", 0, True, beginning, "Asia/Kolkata"),
        (2, "INR", 0, True, beginning, "Asia/Kolkata"),
    ]
    assert await ledger.outcomes(HOME) == {"applied": 5}


async def test_another_currency_is_quarantined_also_by_writers_that_did_not_register_it(ledger: Ledger) -> None:
    await ledger.commit(ledger.event(1, currency="USD"))
    await ledger.claim()
    await ledger.commit(ledger.event(2, currency="INR"), ledger.event(3, currency="USD"))
    assert await ledger.dead_letters() == [(HOME, 1, "currency_mismatch")]
    assert await ledger.outcomes(HOME) == {"applied": 2, "quarantined": 1}


async def test_a_changed_property_is_read_again_when_its_revision_rises(ledger: Ledger) -> None:
    await ledger.commit(ledger.event(1))
    await ledger.admin.execute("UPDATE finance.property_time_zones SET time_zone = 'Pacific/Auckland'")
    await ledger.admin.execute(
        "UPDATE ops.lanes SET properties_revision = properties_revision + 1 WHERE lane = $1", HOME
    )
    await ledger.commit(ledger.event(2))
    assert [day for day, *_ in await ledger.days()] == [TODAY, TOMORROW]


async def test_a_rolled_back_registration_is_not_remembered(make_ledger: MakeLedger) -> None:
    failing = ["lanes_advanced"]

    def fail(point: str) -> None:
        if point in failing:
            failing.clear()
            raise DatabaseUnavailable("as if cut off")

    ledger = await make_ledger(reach=fail)
    record = ledger.event(1)
    with pytest.raises(DatabaseUnavailable):
        await ledger.commit(record)
    await ledger.commit(record)
    assert await ledger.value("SELECT count(*) FROM finance.properties") == 1


# --- retention ---


async def test_transactions_older_than_the_retention_change_everything_but_their_table(ledger: Ledger) -> None:
    old = NOON - 760 * DAY  # a month before the oldest one that is kept
    await ledger.commit(ledger.event(1, at=old, amount=100), ledger.event(2, kind="expense", at=old, amount=30))
    assert await ledger.transactions("revenues") == []
    assert await ledger.transactions("expenses") == []
    assert await ledger.stored() == [(1, 1, "applied"), (2, 1, "applied")]
    assert await ledger.value("SELECT count(*) FROM event_store.snapshots") == 2
    assert await ledger.days() == [(old.date(), 1, 0, 70)]


async def test_the_retention_ends_with_the_first_instant_of_a_month(ledger: Ledger) -> None:
    oldest_kept = NOON.replace(year=2024, day=1, hour=0)
    await ledger.commit(ledger.event(1, at=oldest_kept), ledger.event(2, at=oldest_kept - timedelta(microseconds=1)))
    assert [row[0] for row in await ledger.transactions()] == [1]


@pytest.mark.parametrize("kind", ["revenue", "expense"])
async def test_a_row_that_has_aged_out_or_moves_before_the_retention_is_removed(ledger: Ledger, kind: str) -> None:
    edge = NOON - 700 * DAY
    await ledger.commit(ledger.event(1, kind=kind, at=edge), ledger.event(2, kind=kind), ledger.event(3, kind=kind))
    ledger.lanes[HOME].appended_at += 60 * DAY
    await ledger.commit(
        ledger.event(1, 2, kind=kind, at=edge), ledger.event(2, 2, kind=kind, at=edge), ledger.event(3, 2, kind=kind)
    )
    assert [row[:2] for row in await ledger.transactions(f"{kind}s")] == [(3, 2)]
    assert await ledger.value("SELECT count(*) FROM event_store.snapshots") == 3

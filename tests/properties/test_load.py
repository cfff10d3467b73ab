"""Loading on a real database: what is written, by whom, under which locks, and that nothing is written twice."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from pipeline.errors import DatabaseUnavailable
from pipeline.properties import load as module
from pipeline.properties.listing import list_properties
from pipeline.properties.load import Audit, connect_operator, load, plan
from pipeline.properties.rules import Verdict
from pipeline.settings import DatabaseSettings
from schemas.properties import BEGINNING, PropertyLine, ZoneFrom
from schemas.routing import home_lane

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
AUDIT = Audit("asha@desk", {"file": "properties.ndjson"})
KOLKATA, LISBON = ZoneFrom("Asia/Kolkata"), ZoneFrom("Europe/Lisbon")


LINE = PropertyLine(org_id=7, property_id=1, currency="INR", time_zones=(KOLKATA,))


def line(org: int = 7, property_: int = 1, **fields: Any) -> PropertyLine:
    return msgspec.structs.replace(LINE, org_id=org, property_id=property_, **fields)


@pytest_asyncio.fixture
async def operator(database: str) -> AsyncIterator[asyncpg.Connection]:
    """An operator's connection to a database of this test's own."""
    connection = await connect_operator(database, DatabaseSettings())
    try:
        yield connection
    finally:
        await connection.close()


@pytest_asyncio.fixture
async def admin(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    try:
        yield connection
    finally:
        await connection.close()


async def register(admin: asyncpg.Connection, org: int = 7, property_: int = 1) -> None:
    await admin.execute(
        f"INSERT INTO finance.properties VALUES ({org}, {property_}, NULL, 'INR', 0, true, now());"
        "INSERT INTO finance.property_time_zones "
        f"VALUES ({org}, {property_}, '0001-01-01 00:00:00+00', 'Asia/Kolkata');"
    )


async def make_lanes(admin: asyncpg.Connection, count: int = 4) -> None:
    await admin.execute("INSERT INTO ops.lanes (lane) SELECT generate_series(0, $1::int - 1)", count)


async def revisions(admin: asyncpg.Connection) -> list[int]:
    return [row[0] for row in await admin.fetch("SELECT properties_revision FROM ops.lanes ORDER BY lane")]


async def known_since(admin: asyncpg.Connection) -> datetime | None:
    found: datetime | None = await admin.fetchval("SELECT known_since FROM finance.properties")
    return found


async def audits(admin: asyncpg.Connection) -> int:
    count: int = await admin.fetchval("SELECT count(*) FROM ops.operator_audit")
    return count


async def book(admin: asyncpg.Connection, at: datetime, *, in_store: bool) -> None:
    """One event of organisation 7, property 1, booked: in the snapshots, or only in the store any more.

    Then its transaction has moved to another property, and to an earlier day.
    """
    if in_store:
        await admin.execute(
            "INSERT INTO event_store.snapshots SELECT 7, 'revenue', 5, 2, 1, '\\x00', 2, $1, $1::timestamptz::date, "
            "'cash', 'approved', 5, 5, now(), 7, now(), 7, now()",
            at - timedelta(days=3),
        )
        await admin.execute(
            "INSERT INTO event_store.events SELECT now(), 1, 1, 7, 'revenue', 5, 1, 'revenue.created', "
            "gen_random_uuid(), 1, $1::timestamptz::date, $1, now(), 'applied', 1, '\\x00', '\\x00', NULL",
            at,
        )
    else:
        await admin.execute(
            "INSERT INTO event_store.snapshots SELECT 7, 'revenue', 5, 1, 1, '\\x00', 1, $1, $1::timestamptz::date, "
            "'cash', 'approved', 5, 5, now(), 7, now(), 7, now()",
            at,
        )


async def test_before_there_are_lanes_properties_can_be_loaded(
    operator: asyncpg.Connection, admin: asyncpg.Connection
) -> None:
    lines = [line(name="Palace", opening_cash_cents=12345), line(8, 2, currency="JPY", opening_cash_cents=12345)]
    assert (await load(operator, lines, AUDIT)).written == 2
    listed = await list_properties(operator, None, None, 10)
    assert [(one.key, one.name, one.opening_cash, one.zones, one.self_registered) for one in listed] == [
        ((7, 1), "Palace", "123.45", "Asia/Kolkata", False),
        ((8, 2), None, "12345", "Asia/Kolkata", False),
    ]
    row = await admin.fetchrow("SELECT who, command, detail::text FROM ops.operator_audit")
    assert row is not None
    assert tuple(row) == ("asha@desk", "properties load", '{"file": "properties.ndjson"}')


async def test_a_second_load_changes_nothing(operator: asyncpg.Connection, admin: asyncpg.Connection) -> None:
    await make_lanes(admin)
    lines = [line(org, time_zones=(KOLKATA, ZoneFrom("Europe/Lisbon", MARCH))) for org in range(1, 6)]
    assert (await load(operator, lines, AUDIT)).written == 5
    before = await revisions(admin), await audits(admin), await admin.fetch("TABLE finance.property_time_zones")
    assert {one.verdict for one in await plan(operator, lines)} == {Verdict.UNCHANGED}
    assert (await load(operator, lines, AUDIT)).written == 0
    assert before == (
        await revisions(admin),
        await audits(admin),
        await admin.fetch("TABLE finance.property_time_zones"),
    )


async def test_only_the_home_lanes_of_what_changed_are_revised(
    operator: asyncpg.Connection, admin: asyncpg.Connection
) -> None:
    await make_lanes(admin)
    home = home_lane(7, 4)
    other = next(org for org in range(1, 100) if home_lane(org, 4) != home)
    await load(operator, [line(7), line(other)], AUDIT)
    before = await revisions(admin)
    await load(operator, [line(7, name="Palace"), line(other)], AUDIT)
    assert await revisions(admin) == [count + (lane == home) for lane, count in enumerate(before)]


async def test_a_plan_writes_nothing(operator: asyncpg.Connection, admin: asyncpg.Connection) -> None:
    (judgement,) = await plan(operator, [line()])
    assert judgement.verdict is Verdict.NEW
    assert await admin.fetch("TABLE finance.properties") == []
    assert await audits(admin) == 0


@pytest.mark.parametrize("in_store", [True, False], ids=["store", "snapshot"])
async def test_a_zone_changes_only_after_what_is_booked(
    operator: asyncpg.Connection, admin: asyncpg.Connection, in_store: bool
) -> None:
    await register(admin)
    await book(admin, MARCH, in_store=in_store)
    for start, written in ((MARCH, 0), (MARCH + timedelta(microseconds=1), 1)):
        loaded = await load(operator, [line(time_zones=(KOLKATA, ZoneFrom("Europe/Lisbon", start)))], AUDIT)
        assert loaded.written == written
        assert len(loaded.refused) == 1 - written
    assert (await load(operator, [line(time_zones=(LISBON,))], AUDIT)).refused
    assert (await load(operator, [line(currency="USD")], AUDIT)).refused


async def test_the_first_zone_of_an_unused_property_is_replaced_in_place(
    operator: asyncpg.Connection, admin: asyncpg.Connection
) -> None:
    await register(admin)
    await load(operator, [line(time_zones=(LISBON,))], AUDIT)
    rows = await admin.fetch("SELECT valid_from, time_zone FROM finance.property_time_zones")
    assert [tuple(row) for row in rows] == [(BEGINNING, "Europe/Lisbon")]
    assert not await admin.fetchval("SELECT self_registered FROM finance.properties")


async def test_opening_cash_is_refused_once_there_is_a_balance(
    operator: asyncpg.Connection, admin: asyncpg.Connection
) -> None:
    await register(admin)
    assert (await load(operator, [line(opening_cash_cents=5)], AUDIT)).written == 1
    await admin.execute(
        "INSERT INTO finance.daily_cash_balances_partitioned "
        "VALUES (7, 1, '2026-03-10', 1, 5, 0, 0, 0, 0, 5, NULL, 5, 0, NULL, now())"
    )
    loaded = await load(operator, [line(opening_cash_cents=6)], AUDIT)
    assert "recomputed" in loaded.refused[0].said[0]
    assert await admin.fetchval("SELECT opening_cash_cents FROM finance.properties") == 5


async def test_a_refusal_stops_its_chunk_and_keeps_those_before(
    operator: asyncpg.Connection, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_PROPERTIES", 2)
    await register(admin, 4)
    lines = [line(org, currency="USD") for org in range(1, 7)]
    loaded = await load(operator, reversed(lines), AUDIT)
    assert loaded.written == 2
    assert [judgement.key for judgement in loaded.refused] == [(4, 1)]
    orgs = await admin.fetch("SELECT org_id FROM finance.properties ORDER BY org_id")
    assert [row[0] for row in orgs] == [1, 2, 4]
    assert await audits(admin) == 1


async def test_the_rules_are_checked_under_the_lock_of_the_home_lane(
    operator: asyncpg.Connection, admin: asyncpg.Connection
) -> None:
    """A writer that holds the lane and books before the load gets it is seen by the load."""
    await make_lanes(admin)
    await register(admin)
    async with admin.transaction():
        await admin.execute("SELECT FROM ops.lanes WHERE lane = $1 FOR UPDATE", home_lane(7, 4))
        loading = asyncio.create_task(
            load(operator, [line(time_zones=(KOLKATA, ZoneFrom("Europe/Lisbon", MARCH)))], AUDIT)
        )
        await asyncio.sleep(0.3)
        assert not loading.done()
        await book(admin, MARCH, in_store=False)
    assert (await loading).written == 0


async def test_lanes_that_appear_during_a_load_roll_it_back(
    operator: asyncpg.Connection, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = module._judge

    async def slowly(*arguments: Any) -> Any:
        await make_lanes(admin)
        return await judge(*arguments)

    monkeypatch.setattr(module, "_judge", slowly)
    with pytest.raises(DatabaseUnavailable, match="lanes were added"):
        await load(operator, [line()], AUDIT)
    assert await admin.fetch("TABLE finance.properties") == []


async def test_a_property_that_registers_itself_during_a_load_is_not_overwritten(
    operator: asyncpg.Connection, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = module._judge

    async def overtaken(*arguments: Any) -> Any:
        judgements = await judge(*arguments)
        await register(admin)
        return judgements

    monkeypatch.setattr(module, "_judge", overtaken)
    with pytest.raises(DatabaseUnavailable, match="registered themselves"):
        await load(operator, [line(currency="USD")], AUDIT)
    assert await admin.fetchval("SELECT currency FROM finance.properties") == "INR"


# --- what an operator may ---


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM finance.properties",
        "DELETE FROM finance.property_time_zones",
        "UPDATE finance.properties SET property_id = 2",
        "UPDATE finance.property_time_zones SET valid_from = now()",
        "UPDATE ops.lanes SET owner_epoch = 9",
        "UPDATE finance.daily_cash_balances_partitioned SET opening_balance_cents = 0",
    ],
)
async def test_an_operator_may_write_nothing_else(operator: asyncpg.Connection, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await operator.execute(statement)


async def test_without_a_role_the_operator_stays_the_login(database: str) -> None:
    connection = await connect_operator(database, DatabaseSettings(role=None))
    try:
        assert await connection.fetchval("SELECT current_user = session_user")
    finally:
        await connection.close()


# --- the list ---


async def test_a_list_goes_on_where_the_page_before_ended(operator: asyncpg.Connection) -> None:
    keys = [(org, property_) for org in (1, 2, 3) for property_ in (1, 2)]
    await load(operator, [line(*key) for key in keys], AUDIT)

    async def listed(*arguments: Any) -> list[tuple[int, int]]:
        return [one.key for one in await list_properties(operator, *arguments)]

    assert await listed(None, None, 4) == keys[:4]
    assert await listed(None, keys[3], 4) == keys[4:]
    assert await listed(2, None, 4) == keys[2:4]
    assert await listed(2, (2, 1), 4) == keys[3:4]
    assert await listed(2, (1, 1), 4) == keys[2:4]
    assert await listed(2, (3, 1), 4) == []


# --- when a property became known ---


async def test_a_load_takes_its_place_behind_what_its_home_lane_has_recorded(
    operator: asyncpg.Connection, admin: asyncpg.Connection
) -> None:
    """The lane's last instant may be ahead of any clock; what it records next is later than the load."""
    await make_lanes(admin)
    ahead = datetime.now(UTC) + timedelta(hours=1)
    home = home_lane(7, 4)
    await admin.execute("UPDATE ops.lanes SET last_recorded_at = $2 WHERE lane = $1", home, ahead)
    await load(operator, [line()], AUDIT)
    since = ahead + timedelta(microseconds=1)
    assert await known_since(admin) == since
    assert await admin.fetchval("SELECT last_recorded_at FROM ops.lanes WHERE lane = $1", home) == since
    assert await admin.fetchval("SELECT count(*) FROM ops.lanes WHERE last_recorded_at = $1", since) == 1


async def test_what_registered_itself_was_known_before_it_was_loaded(
    operator: asyncpg.Connection, admin: asyncpg.Connection
) -> None:
    await make_lanes(admin)
    await register(admin)
    await admin.execute("UPDATE finance.properties SET known_since = $1", MARCH)
    assert (await load(operator, [line(name="Palace")], AUDIT)).written == 1
    assert await known_since(admin) == MARCH


async def test_what_is_loaded_before_the_first_lane_is_known_from_the_beginning(
    operator: asyncpg.Connection, admin: asyncpg.Connection
) -> None:
    await load(operator, [line()], AUDIT)
    assert await known_since(admin) is None

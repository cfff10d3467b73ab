"""Monthly partitions: made as often as asked, in UTC wherever the session is, taking along what had come too early."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

PARENTS = ["finance.revenues_partitioned", "finance.expenses_partitioned", "event_store.events"]
FAR, FAR_AWAY = date(2031, 5, 17), date(2041, 5, 17)  # no month is near them


async def months(connection: asyncpg.Connection, parent: str) -> dict[str, str]:
    """Partition to its bounds, as UTC writes them, without the default one."""
    await connection.execute("SET LOCAL TimeZone = 'UTC'")
    rows = await connection.fetch(
        "SELECT c.oid::regclass::text, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits AS i "
        "JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = $1::text::regclass ORDER BY 1",
        parent,
    )
    return {row[0]: row[1] for row in rows if row[1] != "DEFAULT"}


async def ensure(connection: asyncpg.Connection, around: date, back: int, ahead: int) -> int:
    made: int = await connection.fetchval("SELECT ops.ensure_months($1, $2, $3)", around, back, ahead)
    return made


async def test_months_around_a_date_are_made_and_the_store_gets_none_of_the_past(admin: asyncpg.Connection) -> None:
    before = {parent: await months(admin, parent) for parent in PARENTS}
    assert await ensure(admin, FAR, 2, 1) == 4 + 4 + 2
    made = {parent: sorted((await months(admin, parent)).keys() - before[parent].keys()) for parent in PARENTS}
    names = ["2031_03", "2031_04", "2031_05", "2031_06"]
    assert made == {
        "finance.revenues_partitioned": [f"finance.revenues_{name}" for name in names],
        "finance.expenses_partitioned": [f"finance.expenses_{name}" for name in names],
        "event_store.events": [f"event_store.events_{name}" for name in names[2:]],
    }


async def test_hot_tables_are_sampled_a_little_and_so_are_all_their_partitions(admin: asyncpg.Connection) -> None:
    await ensure(admin, FAR, 0, 0)
    hot = [*PARENTS, "event_store.snapshots", "finance.daily_cash_balances_partitioned", "finance.properties"]
    rows = await admin.fetch(
        "SELECT relid::regclass::text AS relation, array_agg(DISTINCT coalesce(attstattarget, -1)) AS targets "
        "FROM unnest($1::text[]) AS parent, pg_partition_tree(parent::regclass), pg_attribute "
        "WHERE attrelid = relid AND attnum > 0 GROUP BY relid "
        "UNION ALL SELECT 'zones', array_agg(DISTINCT coalesce(attstattarget, -1)) FROM pg_attribute "
        "WHERE attrelid = 'finance.property_time_zones'::regclass AND attnum > 0",
        hot,
    )
    assert {row["relation"]: row["targets"] for row in rows if row["targets"] != [10]} == {}
    assert {"finance.revenues_2031_05", "finance.revenues_default", "event_store.snapshots_0"} <= {
        row["relation"] for row in rows
    }


async def test_asked_again_nothing_is_made(admin: asyncpg.Connection) -> None:
    await ensure(admin, FAR, 1, 1)
    assert await ensure(admin, FAR, 1, 1) == 0
    assert await ensure(admin, FAR.replace(day=1), 1, 1) == 0
    assert await ensure(admin, FAR.replace(day=31), 1, 1) == 0


async def test_two_at_once_make_each_month_once(module_database: str) -> None:
    one, two = await asyncpg.connect(module_database), await asyncpg.connect(module_database)
    try:
        made = await asyncio.gather(ensure(one, FAR_AWAY, 3, 3), ensure(two, FAR_AWAY, 3, 3))
    finally:
        await one.close()
        await two.close()
    assert sum(made) == 7 + 7 + 4


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "Pacific/Auckland", "America/St_Johns"])
async def test_bounds_are_utc_wherever_the_session_is(admin: asyncpg.Connection, zone: str) -> None:
    await admin.execute(f"SET LOCAL TimeZone = '{zone}'; SET LOCAL DateStyle = 'SQL, DMY'")
    await ensure(admin, FAR, 1, 1)
    await admin.execute("SET LOCAL DateStyle = 'ISO'")
    bounds = (await months(admin, "finance.revenues_partitioned"))["finance.revenues_2031_05"]
    assert bounds == "FOR VALUES FROM ('2031-05-01 00:00:00+00') TO ('2031-06-01 00:00:00+00')"


async def test_december_is_followed_by_january(admin: asyncpg.Connection) -> None:
    await ensure(admin, date(2031, 12, 31), 0, 1)
    bounds = await months(admin, "event_store.events")
    assert bounds["event_store.events_2031_12"].endswith("TO ('2032-01-01 00:00:00+00')")
    assert bounds["event_store.events_2032_01"].startswith("FOR VALUES FROM ('2032-01-01 00:00:00+00')")


async def test_rows_that_came_too_early_move_from_the_default_partition_to_their_month(
    admin: asyncpg.Connection,
) -> None:
    first = datetime(2031, 5, 1, tzinfo=UTC)
    instants = [
        first - timedelta(microseconds=1),
        first,
        first + timedelta(days=31) - timedelta(microseconds=1),
        first + timedelta(days=31),
    ]
    for number, at in enumerate(instants, 1):
        await admin.execute(
            "INSERT INTO finance.revenues_partitioned VALUES "
            "(1, $1, $2, 1, '2031-05-01', 5, 'INR', 'cash', 'approved', NULL, NULL, NULL, NULL, 1, 7, $2, 7, $2, $2)",
            number,
            at,
        )
    assert await ensure(admin, FAR, 0, 0) == 3
    rows = await admin.fetch("SELECT id, tableoid::regclass::text FROM finance.revenues_partitioned ORDER BY id")
    assert [tuple(row) for row in rows] == [
        (1, "finance.revenues_default"),
        (2, "finance.revenues_2031_05"),
        (3, "finance.revenues_2031_05"),
        (4, "finance.revenues_default"),
    ]


async def test_a_new_month_has_every_index_and_rule_of_its_parent_and_no_grant_of_its_own(
    admin: asyncpg.Connection,
) -> None:
    await ensure(admin, FAR, 0, 0)
    child, default = "finance.expenses_2031_05", "finance.expenses_default"

    async def facts(table: str) -> set[tuple[str, ...]]:
        indexes = await admin.fetch(
            "SELECT indisprimary::text, indkey::text, (p.inhparent IS NOT NULL)::text FROM pg_index "
            "LEFT JOIN pg_inherits AS p ON p.inhrelid = indexrelid WHERE indrelid = $1::text::regclass",
            table,
        )
        checks = await admin.fetch(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = $1::text::regclass", table
        )
        return {tuple(row) for row in (*indexes, *checks)}

    assert await facts(child) == await facts(default)
    acl = await admin.fetchval("SELECT relacl::text FROM pg_class WHERE oid = $1::text::regclass", child)
    assert acl is None

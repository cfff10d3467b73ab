"""Rows held against the bounds of their partitions: each kind of damage is found, and each table is read once."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

import sql
from pipeline.maintenance.parity import parities
from pipeline.maintenance.partitions.planning import Keeping
from pipeline.maintenance.partitions.state import EVENTS, EXPENSES, HASHED, MONTHLY, REVENUES
from pipeline.maintenance.partitions.verifying import read_counted, verification_problems
from pipeline.months import month_of, months_after, start_of
from tests.maintenance.partitions.conftest import MakeLedger

NOW = datetime.now(UTC)
THIS_MONTH = month_of(NOW)
NEXT, LAST = months_after(THIS_MONTH, 1), months_after(THIS_MONTH, 3)
KEEPING = Keeping(24, 3)
PRESENT = f"finance.revenues_{THIS_MONTH:%Y_%m}"


async def fill(make_ledger: MakeLedger) -> None:
    ledger = await make_ledger(NOW)
    await ledger.commit(
        ledger.event(1, at=NOW),
        ledger.event(2, at=start_of(months_after(THIS_MONTH, -2))),
        ledger.event(3, kind="expense", at=NOW, org=2),
        # Too old to have a row: its snapshot has none to be equal to.
        ledger.event(4, at=start_of(months_after(THIS_MONTH, -30))),
    )


async def found(admin: asyncpg.Connection) -> list[str]:
    state, counts = await read_counted(admin)
    parity = [problem for each in parities(counts) if (problem := each.problem) is not None]
    return [*verification_problems(state, counts, NOW, KEEPING), *parity]


async def test_books_that_are_well_have_no_problem(admin: asyncpg.Connection, make_ledger: MakeLedger) -> None:
    assert await found(admin) == [], "a fresh database"
    await fill(make_ledger)
    assert await found(admin) == []
    _state, counts = await read_counted(admin)
    assert [(each.rows, each.snapshots) for each in parities(counts)] == [(2, 2), (1, 1)]
    assert counts.kept_since == start_of(months_after(THIS_MONTH, -24))


_TO_DEFAULT = (
    f"ALTER TABLE {REVENUES} DETACH PARTITION {PRESENT}; INSERT INTO {REVENUES} SELECT * FROM {PRESENT}; "
    f"DROP TABLE {PRESENT}"
)
# Attached as what it is not: PostgreSQL looks at no row where a constraint speaks for all of them.
_BEYOND = f"""
ALTER TABLE {REVENUES} DETACH PARTITION {PRESENT};
DROP TABLE finance.revenues_{LAST:%Y_%m};
ALTER TABLE {PRESENT} ADD CONSTRAINT lie
    CHECK (occurred_at IS NOT NULL AND occurred_at >= '{LAST} 00:00+00'
           AND occurred_at < '{months_after(LAST, 1)} 00:00+00') NOT VALID;
UPDATE pg_constraint SET convalidated = true WHERE conname = 'lie';
ALTER TABLE {REVENUES} ATTACH PARTITION {PRESENT}
    FOR VALUES FROM ('{LAST} 00:00+00') TO ('{months_after(LAST, 1)} 00:00+00');
"""
_STRAY = """
ALTER TABLE {table} DETACH PARTITION {table_3};
INSERT INTO {table_3} SELECT * FROM {table} WHERE org_id = 1;
DELETE FROM {table} WHERE org_id = 1;
ALTER TABLE {table_3} ADD CONSTRAINT lie
    CHECK (satisfies_hash_partition('{table}'::regclass, 16, 3, org_id)) NOT VALID;
UPDATE pg_constraint SET convalidated = true WHERE conname = 'lie';
ALTER TABLE {table} ATTACH PARTITION {table_3} FOR VALUES WITH (MODULUS 16, REMAINDER 3);
"""
_BALANCES, _SNAPSHOTS = HASHED


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (f"DROP TABLE finance.revenues_{NEXT:%Y_%m}", f"{REVENUES}: no partition for {NEXT:%Y-%m}"),
        (f"DROP TABLE event_store.events_{LAST:%Y_%m}", f"{EVENTS}: no partition for {LAST:%Y-%m}"),
        (_TO_DEFAULT, "revenues_default: 1 rows in the default partition"),
        (_TO_DEFAULT, f"{REVENUES}: no partition for {THIS_MONTH:%Y-%m}"),
        (_BEYOND, f"revenues_{THIS_MONTH:%Y_%m}: rows from"),
        (
            _STRAY.format(table=_SNAPSHOTS, table_3="event_store.snapshots_3"),
            "snapshots_3: 3 rows of organisations that belong to another partition",
        ),
        (
            _STRAY.format(table=_BALANCES, table_3="finance.daily_cash_balances_3"),
            "daily_cash_balances_3: 3 rows of organisations that belong to another partition",
        ),
        (
            f"ALTER TABLE {_SNAPSHOTS} DETACH PARTITION event_store.snapshots_15",
            f"{_SNAPSHOTS}: no partition for the remainders 15 of 16",
        ),
        ("DELETE FROM finance.expenses_partitioned WHERE id = 3", f"{EXPENSES}: 0 rows for 1 snapshots"),
        (f"DELETE FROM {_SNAPSHOTS} WHERE aggregate_id = 2", f"{REVENUES}: 2 rows for 1 snapshots"),
    ],
)
async def test_each_kind_of_damage_is_found(
    admin: asyncpg.Connection, make_ledger: MakeLedger, broken: str, problem: str
) -> None:
    await fill(make_ledger)
    await admin.execute(broken)
    problems = await found(admin)
    assert any(each.startswith(problem) for each in problems), problems


async def test_partitions_that_were_split_hold_every_remainder(admin: asyncpg.Connection) -> None:
    """As `folio partitions plan --modulus` has it: some split, some not."""
    await admin.execute(
        f"ALTER TABLE {_SNAPSHOTS} DETACH PARTITION event_store.snapshots_3; DROP TABLE event_store.snapshots_3;"
        f"CREATE TABLE event_store.snapshots_3_32 PARTITION OF {_SNAPSHOTS} FOR VALUES WITH (MODULUS 32, REMAINDER 3)"
    )
    assert await found(admin) == [f"{_SNAPSHOTS}: no partition for the remainders 19 of 32"]
    await admin.execute(
        f"CREATE TABLE event_store.snapshots_19_32 PARTITION OF {_SNAPSHOTS} FOR VALUES WITH (MODULUS 32, REMAINDER 19)"
    )
    assert await found(admin) == []


async def test_counts_are_of_one_moment_beside_a_writer(admin: asyncpg.Connection, make_ledger: MakeLedger) -> None:
    """A transaction's row and its snapshot commit together: no count sees one of them without the other."""
    ledger = await make_ledger(NOW)
    done = asyncio.Event()

    async def count() -> int:
        times = 0
        while not done.is_set() or not times:
            assert await found(admin) == []
            times += 1
        return times

    counting = asyncio.create_task(count())
    try:
        for n in range(1, 60):
            await ledger.commit(*(ledger.event(n * 10 + each, at=NOW, org=1 + each) for each in range(5)))
    finally:
        done.set()
    assert await counting > 1


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from _nodes(child)


async def test_each_partition_is_read_once(admin: asyncpg.Connection, make_ledger: MakeLedger) -> None:
    await fill(make_ledger)
    answer = await admin.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql.query('count_partitions')}")
    (document,) = json.loads(answer)
    scans = [
        node["Relation Name"]
        for node in _nodes(document["Plan"])
        if "Scan" in node["Node Type"] and not node.get("Relation Name", "pg_").startswith("pg_")
    ]
    partitions = await admin.fetch(
        "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid "
        "WHERE inhparent = ANY ($1::text[]::regclass[])",
        [*MONTHLY, *HASHED],
    )
    assert sorted(scans) == sorted(row[0] for row in partitions)

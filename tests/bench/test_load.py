"""Live load, filled tables and invalidation on real servers: nothing is lost on the way to a figure."""

from pathlib import Path

import asyncpg

from bench.invalidation.defensive import race
from bench.progress import Progress
from bench.results import read
from bench.scaling.filling import fill, planned, unfill
from pipeline.stack import Endpoints
from tests.bench.test_drain import bench, leftovers

EVENTS = 400
_TABLES = {
    "events": "event_store.events",
    "snapshots": "event_store.snapshots",
    "transactions": "finance.revenues_partitioned",
    "balances": "finance.daily_cash_balances_partitioned",
}


async def test_a_phase_accounts_for_every_event(stack: Endpoints, tmp_path: Path) -> None:
    small = ("--events", str(EVENTS), "--orgs", "50", "--workers", "1")
    done = bench(stack, tmp_path / "run.json", "phase1", *small, cache="8")
    assert done.returncode == 0, done.stderr
    results = read(tmp_path / "run.json")
    [phase] = results.scenarios
    assert phase.missing is None, done.stderr
    assert phase.proof is not None
    assert phase.proof.differences == 0
    errors, peak = phase.figure("error_share"), phase.figure("update_p99_ms")
    assert errors is not None
    assert errors.most == 0
    assert peak is not None
    assert peak.median > 0
    accounts = next(table for table in phase.tables if table.title == "what became of the events")
    [row] = [dict(zip(accounts.columns, each, strict=True)) for each in accounts.rows]
    assert row["events"] == EVENTS
    assert row["not committed"] == 0
    latencies = next(table for table in phase.tables if table.title.startswith("latencies"))
    counts = {str(each[1]): each[2] for each in latencies.rows}
    silent, netted = row["nobody is told"], row["netted to nothing"]
    assert isinstance(silent, int)
    assert isinstance(netted, int)
    assert counts["event to commit"] == EVENTS
    assert counts["event to update"] == EVENTS - silent - netted
    assert silent < EVENTS / 2
    assert netted < EVENTS / 10
    assert all(each.met is not None for each in results.verdicts if each.scenario == "phase1")
    answers = next(table for table in phase.tables if table.title.startswith("reads"))
    assert all(row[1] and not row[-1] for row in answers.rows), "reads came, and none failed"
    assert await leftovers(stack, done.stderr) == set()


async def test_tables_are_filled_in_steps_and_emptied_of_it(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        await fill(connection, 0, 1_000, 10, Progress())
        await fill(connection, 1_000, 5_000, 10, Progress())
        found = {name: await connection.fetchval(f"SELECT count(*) FROM {table}") for name, table in _TABLES.items()}
        assert found == planned(5_000)
        spread = await connection.fetchval("SELECT count(DISTINCT org_id) FROM event_store.snapshots")
        assert spread == 10
        await unfill(database)
        left = [await connection.fetchval(f"SELECT count(*) FROM {table}") for table in _TABLES.values()]
        assert left == [0, 0, 0, 0]
    finally:
        await connection.close()


async def test_readers_that_race_invalidation_see_nothing_stale(stack: Endpoints) -> None:
    found = await race(f"{stack.redis_url.rstrip('/')}/9", 1.0)
    assert found.stale == 0
    assert found.hits
    assert found.fills
    assert found.floors

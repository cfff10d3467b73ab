"""How PostgreSQL runs the statements of a check: a slice touches its hash partitions and no other."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import asyncpg
import pytest

import sql
from pipeline.consistency.job import Means
from pipeline.consistency.scope import Scope, slices_for
from tests.consistency.conftest import Open
from tests.rebuild.test_books import history
from tests.support.ledger import Ledger

_UUID: Final = "'00000000-0000-0000-0000-000000000001'"
# What sieves slices, and the arguments behind those of the slice.
SIEVES: Final[Mapping[str, str]] = {
    "suspect_orgs_by_days": ", 1, 2147483647",
    "suspect_orgs_by_events": ", '-infinity', 1",
    "suspect_orgs_by_rows": ", '2024-01-01', 1",
}


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from _nodes(child)


async def _touched(means: Means, statement: str, arguments: str) -> set[str]:
    """The partitions by hash that are read."""
    connection: asyncpg.Connection = means.reading
    await connection.execute(f"PREPARE explained AS {statement}")
    try:
        answer = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE explained ({arguments})")
    finally:
        await connection.execute("DEALLOCATE explained")
    (document,) = json.loads(answer)
    names = {
        node["Relation Name"]
        for node in _nodes(document["Plan"])
        if node.get("Actual Loops") and "Relation Name" in node
    }
    return {name for name in names if name.startswith(("snapshots_", "daily_cash_balances_"))}


def _numbers(tables: set[str]) -> set[int]:
    return {int(name.rsplit("_", 1)[1]) for name in tables}


@pytest.mark.parametrize("name", SIEVES)
async def test_a_slice_is_its_own_partitions(ledger: Ledger, means: Open, name: str) -> None:
    await history(ledger)
    statements = {
        "suspect_orgs_by_days": sql.query("suspect_orgs_by_days"),
        "suspect_orgs_by_events": sql.query("suspect_orgs_by_events"),
        "suspect_orgs_by_rows": sql.query("suspect_orgs_by_rows"),
    }
    async with means(ledger) as opened:
        one = await _touched(opened, statements[name], "16, 3" + SIEVES[name])
        four = await _touched(opened, statements[name], "4, 1" + SIEVES[name])
    assert _numbers(one) == {3}
    assert _numbers(four) == {1, 5, 9, 13}


async def test_what_is_counted_is_a_slice_or_an_organisation(ledger: Ledger, means: Open) -> None:
    await history(ledger)
    async with means(ledger) as opened:
        assert _numbers(await _touched(opened, sql.query("count_checked"), "16, 3, NULL")) == {3}
        assert len(_numbers(await _touched(opened, sql.query("count_checked"), "NULL, NULL, '{2}'"))) == 1


async def test_a_close_look_at_an_organisation_reads_its_partition_of_balances(ledger: Ledger, means: Open) -> None:
    await history(ledger)
    async with means(ledger) as opened:
        arguments = "'{2}', " + "'{}', " * 9 + "100"
        assert len(_numbers(await _touched(opened, sql.query("drifted_balances"), arguments))) == 1


async def test_the_night_audit_reads_a_slice_of_balances(ledger: Ledger, means: Open) -> None:
    await history(ledger)
    async with means(ledger) as opened:
        arguments = f"8, 2, {_UUID}, '{{Asia/Kolkata}}', '{{2026-03-10}}'"
        assert _numbers(await _touched(opened, sql.query("find_nightly"), arguments)) == {2, 10}


@pytest.mark.parametrize(("transactions", "slices"), [(0, 1), (100, 1), (101, 2), (400, 4), (1600, 16), (10**9, 16)])
def test_as_few_slices_as_keep_each_small(transactions: int, slices: int) -> None:
    assert slices_for(transactions, 100) == slices


async def test_slices_are_all_organisations_each_once(ledger: Ledger, means: Open) -> None:
    """The number of a hash partition is what PostgreSQL says it is: what a check relies on for the other tables."""
    await history(ledger, orgs=30)
    count = sql.query("count_checked")
    async with means(ledger) as opened:
        for slices in (1, 2, 4, 8, 16):
            counts = [await opened.reading.fetchval(count, *Scope(slices, n).arguments) for n in range(slices)]
            assert sum(counts) == await ledger.value("SELECT count(*) FROM event_store.snapshots")

"""Proving the books: read the topics, fold them, and hold every table against the fold.

    snapshot of the database ── positions, rules, properties
    finance-events, up to the positions ── judge ── fold ── books ── compare ── differences
    realtime-updates, up to its end ──────────────────────────────── compare ── differences

The snapshot comes first. What the pipeline commits and publishes meanwhile lies beyond it, and is left out.
"""

import gc
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from pipeline.errors import OffsetExpired, TopicMismatch
from pipeline.oracle import compare, database, topics
from pipeline.oracle.compare_days import (
    REALTIME,
    BalanceComparison,
    BalanceRow,
    RealtimeComparison,
)
from pipeline.oracle.daily import DayKey, Days, movements
from pipeline.oracle.database import Database, Lane
from pipeline.oracle.decode import Judged, Rules, judge
from pipeline.oracle.expiry import Expiry, Routing
from pipeline.oracle.findings import Findings
from pipeline.oracle.fold import (
    DATABASE_REJECTED,
    Books,
    Ground,
    OnSeveralLanes,
    PropertyKey,
    Tally,
    fold,
    orgs_on_several_lanes,
    rules_at,
)
from pipeline.oracle.report import Report
from pipeline.oracle.spans import Span, UnprovenError, consumed
from pipeline.oracle.topics import FINANCE_EVENTS, REALTIME_UPDATES, Topics
from pipeline.oracle.updates import Update, UpdateError, parse_update

Progress = Callable[[str, int, int], None]  # what is being done, how many of it, of how many


async def reconcile(
    database_url: str,
    bootstrap: str,
    *,
    topic_prefix: str = "",
    retention_months: int,
    progress: Progress | None = None,
) -> Report:
    """Prove that the database is what its topics say.

    `topic_prefix` stands before the names of the topics. `retention_months`: transactions older than that may be
    absent from the tables of transactions. Raises Transient when a server does not answer, Fatal when the database
    is not ours; all else is in the report.
    """
    started = time.monotonic()
    try:
        async with database.snapshot(database_url) as tables, topics.connected(bootstrap, topic_prefix) as log:
            with _without_collector():
                report = await _prove(tables, log, retention_months, progress or _silent)
    except (UnprovenError, OffsetExpired, TopicMismatch) as error:
        report = Report(unproven=str(error))
    return replace(report, seconds=time.monotonic() - started)


async def _prove(tables: Database, log: Topics, retention_months: int, progress: Progress) -> Report:
    lanes, rules, properties = await tables.lanes(), await tables.rules(), await tables.properties()
    dead_letters = await tables.dead_letters(log.name_of(FINANCE_EVENTS))
    ground = database.ground(lanes, rules, properties, dead_letters)

    spans = consumed({lane.lane: lane.position for lane in lanes}, rules, await log.extent(FINANCE_EVENTS))
    records = await _judged(log, spans, rules, progress)
    orgs = orgs_on_several_lanes(records)
    books = fold(records, ground, OnSeveralLanes(orgs, await tables.recorded_order(orgs)))
    del records  # the books hold what matters of them
    report, days = _report_of(books, len(orgs)), movements(books.newest.values())

    findings = Findings()
    compare.lanes(findings, books, {lane.lane: lane.counters for lane in lanes})
    _compare_small(findings, compare.properties(books), properties.registered)
    _compare_small(findings, compare.dead_letters(books), dead_letters)
    # From here on the books are used up, so that memory falls while the tables pass by.
    await _compare_events(findings, tables, books, lanes, progress)
    await _compare_transactions(findings, tables, books, ground, retention_months, progress)
    rows = await _compare_balances(findings, tables, days, properties.opening_cash_cents, progress)
    routing = Routing(ground.lane_count, books.misrouted_orgs)
    not_compared = await _compare_realtime(findings, tables, log, rows, routing, progress)
    return replace(
        report,
        balances_not_compared=not_compared,
        compared=dict(findings.compared),
        difference_counts=dict(findings.counts),
        differences=tuple(findings.kept),
    )


async def _judged(
    log: Topics, spans: Mapping[int, Span], rules: Mapping[int, Sequence[Rules]], progress: Progress
) -> dict[int, list[Judged]]:
    judged: dict[int, list[Judged]] = {lane: [] for lane in spans}
    done, total = 0, sum(span.end - span.start for span in spans.values())
    async for records in log.read(FINANCE_EVENTS, spans):
        for record in records:
            judged[record.lane].append(judge(record, rules_at(rules[record.lane], record.offset)))
        done += len(records)
        progress("events read", done, total)
    return judged


def _report_of(books: Books, orgs_on_several_lanes: int) -> Report:
    """What the fold alone has to say; the comparisons use it up."""
    tallies = books.tallies.values()
    outcomes = {field.name: sum(getattr(tally, field.name) for tally in tallies) for field in fields(Tally)}
    return Report(
        events=sum(tally.records for tally in tallies),
        outcomes=outcomes,
        taken_on_trust=sum(letter.reason == DATABASE_REJECTED for letter in books.dead_letters.values()),
        orgs_on_several_lanes=orgs_on_several_lanes,
    )


def _compare_small(findings: Findings, comparison: compare.RowComparison[Any], rows: Sequence[compare.Row]) -> None:
    comparison.feed(findings, rows)
    comparison.finish(findings)


async def _compare_events(
    findings: Findings, tables: Database, books: Books, lanes: Sequence[Lane], progress: Progress
) -> None:
    stored = compare.stored_events(books)
    async for rows in _counted(tables, "stored_events", len(books.stored), progress):
        stored.feed(findings, rows)
    stored.finish(findings)
    chain = compare.ChainComparison()
    async for rows in tables.stream("chain"):
        chain.feed(findings, rows)
    chain.finish(findings, {lane.lane: lane.chain_head for lane in lanes})


async def _compare_transactions(
    findings: Findings,
    tables: Database,
    books: Books,
    ground: Ground,
    retention_months: int,
    progress: Progress,
) -> None:
    total = len(books.newest)
    snapshots = compare.snapshots(books)
    async for rows in _counted(tables, "snapshots", total, progress):
        snapshots.feed(findings, rows)
    snapshots.finish(findings)
    transactions = compare.transactions(books, ground)
    async for rows in _counted(tables, "transactions", total, progress):
        transactions.feed(findings, rows)
    transactions.finish(findings, lambda stored: compare.past_retention(stored, retention_months))


async def _compare_balances(
    findings: Findings,
    tables: Database,
    days: dict[PropertyKey, Days],
    opening_cash_cents: Mapping[PropertyKey, int],
    progress: Progress,
) -> Mapping[DayKey, BalanceRow]:
    total = sum(map(len, days.values()))
    balances = BalanceComparison(days, opening_cash_cents)
    async for rows in _counted(tables, "balances", total, progress):
        balances.feed(findings, rows)
    balances.finish(findings)
    return balances.rows


async def _compare_realtime(
    findings: Findings,
    tables: Database,
    log: Topics,
    rows: Mapping[DayKey, BalanceRow],
    routing: Routing,
    progress: Progress,
) -> int:
    """Returns how many balances were not compared, because all that was told of them has expired."""
    spans = await log.extent(REALTIME_UPDATES)
    expiry = Expiry({partition: span.start for partition, span in spans.items()}, routing)
    realtime = RealtimeComparison(rows, expiry)
    done, total = 0, sum(span.end - span.start for span in spans.values())
    async for records in log.read(REALTIME_UPDATES, spans):
        expiry.begin(records)
        realtime.feed(findings, _updates(findings, [(record.value, record.appended_at) for record in records]))
        done += len(records)
        progress("updates read", done, total)
    for lines in await tables.outbox():
        realtime.feed(findings, _updates(findings, [(line, None) for line in lines.splitlines()]))
    realtime.finish(findings)
    return realtime.not_compared


def _updates(findings: Findings, told: Sequence[tuple[bytes | None, datetime | None]]) -> Iterator[Update]:
    for value, appended_at in told:
        try:
            yield parse_update(value, appended_at)
        except UpdateError as error:
            findings.differ(REALTIME, {}, {"record": "an update"}, {"record": str(error)})


async def _counted(tables: Database, name: str, total: int, progress: Progress) -> AsyncIterator[Sequence[compare.Row]]:
    done = 0
    async for rows in tables.stream(name):
        yield rows
        done += len(rows)
        progress(f"{name.replace('_', ' ')} compared", done, total)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Millions of values that live to the end, and no cycle: the collector would walk them for nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _silent(_what: str, _done: int, _total: int) -> None:
    pass

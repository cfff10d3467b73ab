"""Proving the books: read the topics, fold them, and hold every table against the fold.

    snapshot of the database ── positions, rules, properties, the order between the topics
    finance-events and balance-corrections, up to the positions ── judge ── fold ── books ── compare ── differences
    realtime-updates, up to its end ──────────────────────────────────────────────────────── compare ── differences

The snapshot comes first. What the pipeline commits and publishes meanwhile lies beyond it, and is left out.
"""

import gc
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import date, datetime
from typing import Any, NamedTuple, TypeVar

from pipeline.errors import OffsetExpired, TopicMismatch
from pipeline.oracle import compare, compare_corrections, database, topics
from pipeline.oracle.books import DATABASE_REJECTED, Books, Ground, Stored, Tally, rules_at
from pipeline.oracle.chain import ChainComparison
from pipeline.oracle.compare_days import BalanceComparison, BalanceRow
from pipeline.oracle.compare_updates import REALTIME, RealtimeComparison
from pipeline.oracle.daily import by_property, movements
from pipeline.oracle.database import Database, ExpiredMonths, Lane, LaneRules
from pipeline.oracle.decode import Judged, judge
from pipeline.oracle.decode_corrections import Correction, JudgedCorrection, judge_correction
from pipeline.oracle.expiry import Expiry, Routing
from pipeline.oracle.findings import Findings
from pipeline.oracle.fold import fold
from pipeline.oracle.fold_corrections import adjusted
from pipeline.oracle.movements import DayKey
from pipeline.oracle.order import Order, Placing, eras, orgs_on_several_lanes
from pipeline.oracle.records import Record, Rules
from pipeline.oracle.report import Report
from pipeline.oracle.spans import Span, UnprovenError, consumed
from pipeline.oracle.topics import BALANCE_CORRECTIONS, FINANCE_EVENTS, REALTIME_UPDATES, Topics
from pipeline.oracle.updates import Update, UpdateError, parse_update

T = TypeVar("T")
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
    absent from the tables of transactions, unless their lane has recorded for how long it keeps them. Raises Transient
    when a server does not answer, Fatal when the database is not ours; all else is in the report.
    """
    started = time.monotonic()
    try:
        async with database.snapshot(database_url) as tables, topics.connected(bootstrap, topic_prefix) as log:
            with _without_collector():
                report = await prove(tables, log, retention_months, progress or _silent)
    except (UnprovenError, OffsetExpired, TopicMismatch) as error:
        report = Report(unproven=str(error))
    return replace(report, seconds=time.monotonic() - started)


async def prove(tables: Database, log: Topics, retention_months: int, progress: Progress) -> Report:
    lanes, rules, properties = await tables.lanes(), await tables.rules(), await tables.properties()
    dead_letters = await tables.dead_letters(log.name_of(FINANCE_EVENTS), log.name_of(BALANCE_CORRECTIONS))
    known_since = await tables.known_since() if rules.ask_for_loading else {}
    expired = await tables.expired_months()
    require_whole_store(expired)
    ground = database.ground(rules, properties, dead_letters, await tables.pauses(), known_since)

    findings = Findings()
    records = await _read(log, await _spans(log, lanes, rules), rules, progress)
    order = await _order(findings, tables, lanes, records, rules)
    if rules.ask_for_loading:
        compare.known_when_applied(findings, await tables.applied_too_early(), rules.events, rules.corrections)
    books = fold(records.events, ground, records.corrections, order)
    report = _report_of(books, records, order)
    del records  # the books hold what matters of them
    days, counted = movements(books.newest.values(), adjusted(books)), by_property(books.counted)

    compare.lanes(findings, books, {lane.lane: lane.counters for lane in lanes})
    _compare_small(findings, compare.properties(books), properties.registered)
    _compare_small(findings, compare.dead_letters(books), dead_letters.events)
    _compare_small(findings, compare.corrections_refused(books), dead_letters.corrections)
    # From here on the books are used up, so that memory falls while the tables pass by.
    await _compare_events(findings, tables, books, progress)
    await _compare_users(findings, tables, books, progress)
    may_be_absent = _absence(lanes, retention_months, expired.transactions)
    await _compare_transactions(findings, tables, books, ground, may_be_absent, progress)
    await _compare_corrections(findings, tables, books, order, progress)
    balances = BalanceComparison(days, properties.opening_cash_cents, counted)
    rows = await _compare_balances(findings, tables, balances, sum(map(len, days.values())), progress)
    routing = Routing(len(lanes), books.misrouted_orgs, rules.lane_counts)
    not_compared = await _compare_realtime(findings, tables, log, rows, lanes, routing, progress)
    return replace(
        report,
        balances_not_compared=not_compared,
        compared=dict(findings.compared),
        difference_counts=dict(findings.counts),
        differences=tuple(findings.kept),
    )


def require_whole_store(expired: ExpiredMonths) -> None:
    """Raises UnprovenError where months of the event store have left it: what is not there cannot be compared."""
    if expired.waiting:
        raise UnprovenError(
            f"the event store's {_months(expired.waiting)} have left it and wait to be archived: run `folio partitions "
            "apply` to finish what an interrupted run has left, then `folio partitions restore` for each"
        )
    if expired.events:
        raise UnprovenError(
            f"the event store's {_months(expired.events)} are in archives: `folio partitions restore` brings them back"
        )


def _months(months: Sequence[date]) -> str:
    return ", ".join(f"{month:%Y-%m}" for month in months)


# --- reading ---


class _Spans(NamedTuple):
    """What the lanes have consumed of either topic."""

    events: dict[int, Span]
    corrections: dict[int, Span]


class _Records(NamedTuple):
    """The judged records of either topic, by lane."""

    events: dict[int, list[Judged]]
    corrections: dict[int, list[JudgedCorrection]]


async def _spans(log: Topics, lanes: Sequence[Lane], rules: LaneRules) -> _Spans:
    positions = {lane.lane: lane.position for lane in lanes}
    events = consumed(FINANCE_EVENTS, positions, rules.events, await log.extent(FINANCE_EVENTS))
    positions = {lane.lane: lane.corrections_position for lane in lanes}
    # Nobody needs the topic before its first record.
    begun = any(position is not None for position in positions.values())
    held = await log.extent(BALANCE_CORRECTIONS) if begun else {}
    corrections = consumed(BALANCE_CORRECTIONS, positions, rules.corrections, held)
    if not events and not corrections:
        raise UnprovenError("nothing was consumed yet")
    return _Spans(events, corrections)


async def _read(log: Topics, spans: _Spans, rules: LaneRules, progress: Progress) -> _Records:
    events = await _judged(log, FINANCE_EVENTS, spans.events, rules.events, judge, progress)
    corrections = await _judged(
        log, BALANCE_CORRECTIONS, spans.corrections, rules.corrections, judge_correction, progress
    )
    return _Records(events, corrections)


async def _judged(
    log: Topics,
    topic: str,
    spans: Mapping[int, Span],
    rules: Mapping[int, Sequence[Rules]],
    judge_one: Callable[[Record, Rules], T],
    progress: Progress,
) -> dict[int, list[T]]:
    judged: dict[int, list[T]] = {lane: [] for lane in spans}
    done, total = 0, sum(span.end - span.start for span in spans.values())
    async for records in log.read(topic, spans):
        for record in records:
            judged[record.lane].append(judge_one(record, rules_at(rules[record.lane], record.offset)))
        done += len(records)
        progress(f"{topic} read", done, total)
    return judged


async def _order(
    findings: Findings, tables: Database, lanes: Sequence[Lane], records: _Records, rules: LaneRules
) -> Order:
    """The order that the database tells; it must be that of the offsets, as far as these tell it too."""
    noted = await tables.corrections_order()
    compare_corrections.order(findings, noted)
    placing, chain = Placing(noted), ChainComparison(await tables.chain_links(), await tables.chain_corrections())
    async for rows in tables.stream("chain"):
        chain.feed(findings, rows)
        placing.feed(rows)
    chain.finish(findings, {lane.lane: (lane.chain_seq, lane.chain_head) for lane in lanes})
    accepted = {
        lane: [judged for judged in of_lane if isinstance(judged, Correction)]
        for lane, of_lane in records.corrections.items()
    }
    orgs = frozenset[int]().union(
        *(orgs_on_several_lanes(*era) for era in eras(records.events, accepted, rules.events, rules.corrections))
    )
    places = placing.places({lane.lane: lane.position for lane in lanes})
    return Order(orgs, await tables.recorded_order(orgs), places)


def _report_of(books: Books, records: _Records, order: Order) -> Report:
    """What the fold alone has to say; the comparisons use it up."""
    tallies = books.tallies.values()
    letters = (*books.dead_letters.values(), *books.corrections_refused.values())
    return Report(
        events=sum(map(len, records.events.values())),
        corrections=sum(map(len, records.corrections.values())),
        adjustments=len(books.adjustments),
        outcomes={field.name: sum(getattr(tally, field.name) for tally in tallies) for field in fields(Tally)},
        taken_on_trust=sum(letter.reason == DATABASE_REJECTED for letter in letters),
        orgs_on_several_lanes=len(order.several),
    )


# --- comparing ---


def _compare_small(findings: Findings, comparison: compare.RowComparison[Any], rows: Sequence[compare.Row]) -> None:
    comparison.feed(findings, rows)
    comparison.finish(findings)


async def _compare_events(findings: Findings, tables: Database, books: Books, progress: Progress) -> None:
    stored = compare.stored_events(books)
    async for rows in _counted(tables, "stored_events", len(books.stored), progress):
        stored.feed(findings, rows)
    stored.finish(findings)


async def _compare_users(findings: Findings, tables: Database, books: Books, progress: Progress) -> None:
    since, users = await tables.users_kept_since(), compare.users(books)
    async for rows in _counted(tables, "users", len(books.named), progress):
        users.feed(findings, rows)
    users.finish(findings, lambda event: event.appended_at < since)


async def _compare_transactions(
    findings: Findings,
    tables: Database,
    books: Books,
    ground: Ground,
    may_be_absent: Callable[[Stored], bool],
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
    transactions.finish(findings, may_be_absent)


def _absence(
    lanes: Sequence[Lane], retention_months: int, expired: Collection[compare.Month]
) -> Callable[[Stored], bool]:
    """Whether a transaction's row may be absent: it came too old, or its month was taken away."""
    kept = {lane.lane: (lane.retention_months or retention_months, lane.transactions_since) for lane in lanes}

    def may_be_absent(stored: Stored) -> bool:
        months, since = kept[stored.event.lane]
        too_old_before = since is not None and stored.event.content.occurred_at < since
        return too_old_before or compare.past_retention(stored, months) or compare.expired(stored, expired)

    return may_be_absent


async def _compare_corrections(
    findings: Findings, tables: Database, books: Books, order: Order, progress: Progress
) -> None:
    applied = compare_corrections.corrections(books, order.places)
    async for rows in _counted(tables, "corrections", len(books.corrections), progress):
        applied.feed(findings, rows)
    applied.finish(findings)
    adjustments = compare_corrections.adjustments(books)
    async for rows in _counted(tables, "adjustments", len(books.adjustments), progress):
        adjustments.feed(findings, rows)
    adjustments.finish(findings)


async def _compare_balances(
    findings: Findings, tables: Database, balances: BalanceComparison, total: int, progress: Progress
) -> Mapping[DayKey, BalanceRow]:
    async for rows in _counted(tables, "balances", total, progress):
        balances.feed(findings, rows)
    balances.finish(findings)
    return balances.rows


async def _compare_realtime(
    findings: Findings,
    tables: Database,
    log: Topics,
    rows: Mapping[DayKey, BalanceRow],
    lanes: Sequence[Lane],
    routing: Routing,
    progress: Progress,
) -> int:
    """Returns how many balances were not compared, because all that was told of them has expired."""
    spans = await log.extent(REALTIME_UPDATES)
    expiry = Expiry({partition: span.start for partition, span in spans.items()}, routing)
    realtime = RealtimeComparison(rows, expiry, await tables.commits(lanes))
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

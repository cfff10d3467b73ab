"""Two sides, differences: what the fold says and what the database's rows say, key by key.

Rows are fed as they arrive, in any order unless said otherwise, so that no table is held in memory.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Generic, NamedTuple, TypeVar

from pipeline.oracle.books import (
    REGISTER,
    Books,
    DeadLetter,
    Ground,
    RecordKey,
    Registration,
    Stored,
    Tally,
    contribution_cents,
    property_currency,
    rules_at,
)
from pipeline.oracle.content_hash import HASH_VERSION, content_hash
from pipeline.oracle.decode import Event
from pipeline.oracle.findings import Findings
from pipeline.oracle.records import Rules

Row = Sequence[Any]
Month = tuple[str, int, int]  # revenue or expense, year, month
Source = TypeVar("Source")

STORED_EVENTS: Final = "stored_events"
SNAPSHOTS: Final = "snapshots"
TRANSACTIONS: Final = "transactions"
PROPERTIES: Final = "properties"
USERS: Final = "users"
DEAD_LETTERS: Final = "dead_letters"
CORRECTIONS: Final = "corrections"
LANES: Final = "lanes"


class RowComparison(Generic[Source]):
    """Compares rows with what is expected under their keys: each key exactly once, and no other.

    `expected` is taken over and used up, key by key: what is left at the end is missing.
    """

    def __init__(
        self,
        kind: str,
        key_names: Sequence[str],
        names: Sequence[str],
        expected: dict[Any, Source],
        row_of: Callable[[Source], tuple[Any, ...]],
    ) -> None:
        self._kind = kind
        self._key_names = key_names
        self._names = names
        self._expected = expected
        self._row_of = row_of

    def feed(self, findings: Findings, rows: Sequence[Row]) -> None:
        """Compare some rows: first the columns of the key, then the others."""
        width = len(self._key_names)
        take, row_of = self._expected.pop, self._row_of
        findings.compared[self._kind] += len(rows)
        for row in rows:
            source = take(row[:width], None)
            wanted = None if source is None else row_of(source)
            if wanted != row[width:]:
                self._differ(findings, row[:width], wanted, row[width:])

    def finish(self, findings: Findings, may_be_absent: Callable[[Source], bool] = lambda _: False) -> None:
        """Whatever no row came for is missing, unless it may be."""
        findings.compared[self._kind] += 0  # that there was nothing to compare is said, too
        for key, source in self._expected.items():
            if not may_be_absent(source):
                findings.compared[self._kind] += 1
                self._differ(findings, key, self._row_of(source), None)
        self._expected.clear()

    def _differ(self, findings: Findings, key: Row, expected: Row | None, actual: Row | None) -> None:
        named_key = dict(zip(self._key_names, key, strict=True))
        findings.differ_in_fields(self._kind, named_key, self._names, expected, actual)


# --- the event store ---

_HASH: Final = ("hash_version", "content_hash")

_VERSION_KEY: Final = ("org_id", "aggregate_type", "aggregate_id", "version")
_STORED: Final = (
    *("lane", "record_offset", "event_type", "event_id", "property_id", "balance_date"),
    *("occurred_at", "appended_at", "outcome", "event_data_sha256"),
    *_HASH,
)


def stored_events(books: Books) -> RowComparison[Stored]:
    """Compares `event_store.events`; uses up `books.stored`."""
    return RowComparison(STORED_EVENTS, _VERSION_KEY, _STORED, books.stored, _stored_row)


def _stored_row(stored: Stored) -> tuple[Any, ...]:
    event = stored.event
    content = event.content
    return (
        *(event.lane, event.offset, content.type, event.event_id, content.property_id, stored.balance_date),
        *(content.occurred_at, event.appended_at, stored.outcome, event.digest),
        *(HASH_VERSION, content_hash(event)),
    )


_AGGREGATE_KEY: Final = ("org_id", "aggregate_type", "aggregate_id")
_SNAPSHOT: Final = (
    *("version", "property_id", "occurred_at", "balance_date", "payment_mode", "status"),
    *("amount_cents", "contribution_cents"),
    *_HASH,
)


def snapshots(books: Books) -> RowComparison[Stored]:
    """Compares `event_store.snapshots`."""
    return RowComparison(SNAPSHOTS, _AGGREGATE_KEY, _SNAPSHOT, books.newest.copy(), _snapshot_row)


def _snapshot_row(stored: Stored) -> tuple[Any, ...]:
    event, content = stored.event, stored.event.content
    return (
        *(event.version, content.property_id, content.occurred_at, stored.balance_date),
        *(content.payment_mode, content.status, content.amount_cents, contribution_cents(stored)),
        *(HASH_VERSION, content_hash(event)),
    )


def known_when_applied(
    findings: Findings,
    rows: Iterable[Row],
    events: Mapping[int, Sequence[Rules]],
    corrections: Mapping[int, Sequence[Rules]],
) -> None:
    """What was booked under rules that ask for loaded properties must have been recorded after the load of its own.

    Rows of (kind, lane, offset, recorded_at, known_since): whatever was recorded before, under whichever rules.
    """
    rules = {STORED_EVENTS: events, CORRECTIONS: corrections}
    for kind, lane, offset, recorded_at, known_since in rows:
        if rules_at(rules[kind][lane], offset).unknown_property != REGISTER:
            key = {"lane": lane, "record_offset": offset}
            findings.differ(kind, key, {"recorded_after": known_since}, {"recorded_at": recorded_at})


# --- transactions ---

_TRANSACTION: Final = (
    *("version", "property_id", "occurred_at", "balance_date", "payment_mode", "status", "amount_cents"),
    *("currency", "category", "description", "bank_reference", "source"),
)


def transactions(books: Books, ground: Ground) -> RowComparison[Stored]:
    """Compares `finance.revenues_partitioned` and `expenses_partitioned` together; uses up `books.newest`."""

    def row(stored: Stored) -> tuple[Any, ...]:
        event, content = stored.event, stored.event.content
        return (
            *(event.version, content.property_id, content.occurred_at, stored.balance_date),
            *(content.payment_mode, content.status, content.amount_cents),
            property_currency(books, ground, (event.org_id, content.property_id)),
            *(content.category, content.description, content.bank_reference, content.source),
        )

    return RowComparison(TRANSACTIONS, _AGGREGATE_KEY, _TRANSACTION, books.newest, row)


def expired(stored: Stored, months: Collection[Month]) -> bool:
    """Whether the month of a transaction was taken away: its row may be absent.

    It may be there as well: of a record that waited while its month left, the row came later, and leaves later.
    """
    at = stored.event.content.occurred_at.astimezone(UTC)
    return (stored.event.aggregate_type, at.year, at.month) in months


def past_retention(stored: Stored, retention_months: int) -> bool:
    """Whether a transaction was older than retention when its newest version came: its row may be absent."""
    appended_at = stored.event.appended_at
    months = appended_at.year * 12 + appended_at.month - 1 - retention_months
    if months < 12:  # before year 1
        return False
    floor = datetime(months // 12, months % 12 + 1, 1, tzinfo=appended_at.tzinfo)
    return stored.event.content.occurred_at < floor


# --- properties, dead letters, lanes ---


def properties(books: Books) -> RowComparison[Registration]:
    """Compares the rows of `finance.properties` that registered themselves, with their first time zone."""
    return RowComparison(
        PROPERTIES, ("org_id", "property_id"), ("currency", "first_time_zone"), books.registered.copy(), tuple
    )


def users(books: Books) -> RowComparison[Event]:
    """Compares `read_models.users`; uses up `books.named`."""
    return RowComparison(USERS, ("org_id", "user_id"), ("display_name",), books.named, lambda event: (event.user_name,))


def dead_letters(books: Books) -> RowComparison[DeadLetter]:
    """Compares the rows of `ops.dead_letters` that came from `finance-events`; uses up `books.dead_letters`."""
    return _dead_letters(("lane", "record_offset"), books.dead_letters)


def corrections_refused(books: Books) -> RowComparison[DeadLetter]:
    """Compares those that came from `balance-corrections`; uses up `books.corrections_refused`."""
    return _dead_letters(("corrections_lane", "record_offset"), books.corrections_refused)


def _dead_letters(key_names: Sequence[str], letters: dict[RecordKey, DeadLetter]) -> RowComparison[DeadLetter]:
    return RowComparison(DEAD_LETTERS, key_names, ("reason", "record_value_sha256"), letters, tuple)


class LaneCounters(NamedTuple):
    """What `ops.lanes` counts."""

    applied: int
    duplicate: int
    stale: int
    conflict: int
    quarantined: int
    version_gaps: int
    misrouted: int


def lanes(findings: Findings, books: Books, counters: Mapping[int, LaneCounters]) -> None:
    """Compare the counters of each lane."""
    for lane, actual in counters.items():
        tally = books.tallies.get(lane, Tally())
        expected = {name: getattr(tally, name) for name in LaneCounters._fields}
        findings.compare(LANES, {"lane": lane}, expected, actual._asdict())

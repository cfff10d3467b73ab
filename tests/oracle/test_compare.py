"""Each comparison notices what was planted: a row too few, too many, twice, or different in any one field."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from hashlib import blake2b
from typing import Any

import pytest

from pipeline.oracle import compare, compare_corrections
from pipeline.oracle.books import Books, Ground
from pipeline.oracle.chain import ChainComparison
from pipeline.oracle.compare import LaneCounters, RowComparison
from pipeline.oracle.content_hash import content_hash, correction_hash
from pipeline.oracle.decode_corrections import Correction, JudgedCorrection
from pipeline.oracle.findings import KEPT_MAX, Findings
from pipeline.oracle.fold import fold
from pipeline.oracle.movements import Movements
from pipeline.oracle.order import Order, Place
from tests.oracle.builders import (
    NOON,
    ORG,
    PROPERTY,
    RULES,
    books_of,
    correction,
    digest,
    event,
    ground,
    lanes_of,
    rejected,
)

DAY = NOON.date()
Row = tuple[Any, ...]


EVENTS = [
    event(0, amount_cents=90),
    event(1, version=2, description="two nights"),
    event(2, aggregate_type="expense", aggregate_id=9, type="expense.created", status="pending"),
]


CORRECTIONS: list[JudgedCorrection] = [
    *(correction(0), correction(1, figures=Movements(150, 2, 0, 1)), correction(2, kind="recompute")),
    *(rejected(3, "schema"), correction(4, correction_id=bytes(16), reason="otherwise")),
]
PLACES = {(0, offset): Place(4 + offset, NOON + timedelta(seconds=offset)) for offset in range(3)}


def books() -> Books:
    """Two versions of a revenue, an expense of another day, and two dead letters; then corrections, two refused."""
    records = lanes_of(*EVENTS, rejected(3, "malformed"), event(4, version=2, amount_cents=1))
    return fold(records, ground(), {0: CORRECTIONS}, Order(places=PLACES))


def stored_row(offset: int, kind: str, aggregate_id: int, version: int, type_: str) -> Row:
    return (
        *(ORG, kind, aggregate_id, version),
        *(0, offset, type_, offset.to_bytes(16, "big"), PROPERTY, DAY, NOON, NOON, "applied", digest(offset)),
        *(1, content_hash(EVENTS[offset])),
    )


STORED = [
    stored_row(0, "revenue", 1, 1, "revenue.approved"),
    stored_row(1, "revenue", 1, 2, "revenue.approved"),
    stored_row(2, "expense", 9, 1, "expense.created"),
]
SNAPSHOTS = [
    (ORG, "revenue", 1, 2, PROPERTY, NOON, DAY, "cash", "approved", 100, 100, 1, content_hash(EVENTS[1])),
    (ORG, "expense", 9, 1, PROPERTY, NOON, DAY, "cash", "pending", 100, 0, 1, content_hash(EVENTS[2])),
]
TRANSACTIONS = [
    (ORG, "revenue", 1, 2, PROPERTY, NOON, DAY, "cash", "approved", 100, "INR", "room", "two nights", None, None),
    (ORG, "expense", 9, 1, PROPERTY, NOON, DAY, "cash", "pending", 100, "INR", "room", None, None, None),
]
PROPERTIES = [(ORG, PROPERTY, "INR", "Asia/Kolkata")]
CORRECTIONS_REFUSED = [(0, 3, "schema", digest(3)), (0, 4, "correction_conflict", digest(4))]
APPLIED = [
    (
        *(ORG, offset.to_bytes(16, "big"), 0, offset, 4 + offset, PROPERTY, DAY, kind, cents),
        *(NOON, NOON, 1, "counted again", digest(offset), 1, correction_hash(applied)),
    )
    for offset, (applied, kind, cents) in enumerate(
        zip(CORRECTIONS[:3], ("declared_closing", "figures", "recompute"), (90, None, 90), strict=True)
    )
    if isinstance(applied, Correction)
]
ADJUSTMENTS = [(ORG, PROPERTY, DAY, b"\x01".rjust(16, b"\0"), 100, 0, 0, 0, 150, 2, 0, 1, NOON + timedelta(seconds=1))]
DEAD_LETTERS = [(0, 3, "malformed", digest(3)), (0, 4, "version_conflict", digest(4))]


def transactions(folded: Books) -> RowComparison[Any]:
    return compare.transactions(folded, ground())


def corrections(folded: Books) -> RowComparison[Any]:
    return compare_corrections.corrections(folded, PLACES)


KINDS: list[tuple[Callable[[Books], RowComparison[Any]], list[Row], int]] = [
    (compare.stored_events, STORED, 4),
    (compare.snapshots, SNAPSHOTS, 3),
    (transactions, TRANSACTIONS, 3),
    (compare.properties, PROPERTIES, 2),
    (compare.dead_letters, DEAD_LETTERS, 2),
    (compare.corrections_refused, CORRECTIONS_REFUSED, 2),
    (corrections, APPLIED, 2),
    (compare_corrections.adjustments, ADJUSTMENTS, 4),
]


def found(comparison: Callable[[Books], RowComparison[Any]], rows: Sequence[Row]) -> Findings:
    findings = Findings()
    begun = comparison(books())
    for row in rows:  # fed apart, as the rows of a table come
        begun.feed(findings, [row])
    begun.finish(findings)
    return findings


def otherwise(value: object) -> object:
    """Another value of the same type."""
    match value:
        case bytes():
            return bytes(byte ^ 1 for byte in value)
        case int():
            return value + 1
        case datetime():
            return value + timedelta(microseconds=1)
        case str() | None:
            return "other"
        case date():
            return value + timedelta(days=1)
        case _:
            raise TypeError(type(value))


every_kind = pytest.mark.parametrize(("comparison", "rows"), [kind[:2] for kind in KINDS])
every_kind_and_width = pytest.mark.parametrize(("comparison", "rows", "width"), KINDS)


@every_kind
def test_what_agrees_is_no_difference_in_any_order(comparison: Any, rows: list[Row]) -> None:
    for ordered in (rows, rows[::-1]):
        findings = found(comparison, ordered)
        assert findings.kept == []
        assert sum(findings.compared.values()) == len(rows)


@every_kind_and_width
def test_a_missing_row(comparison: Any, rows: list[Row], width: int) -> None:
    for index, row in enumerate(rows):
        [difference] = found(comparison, rows[:index] + rows[index + 1 :]).kept
        assert difference.actual is None
        assert tuple(difference.key.values()) == row[:width]
        assert tuple((difference.expected or {}).values()) == row[width:]


@every_kind_and_width
def test_a_row_too_many(comparison: Any, rows: list[Row], width: int) -> None:
    for index in range(width):
        stranger = (*rows[0][:index], otherwise(rows[0][index]), *rows[0][index + 1 :])
        [difference] = found(comparison, [*rows, stranger]).kept
        assert difference.expected is None
        assert tuple(difference.key.values()) == stranger[:width]


@every_kind
def test_a_row_twice(comparison: Any, rows: list[Row]) -> None:
    for row in rows:
        [difference] = found(comparison, [*rows, row]).kept
        assert difference.expected is None


@every_kind_and_width
def test_any_one_field(comparison: Any, rows: list[Row], width: int) -> None:
    for at, row in enumerate(rows):
        for index in range(width, len(row)):
            changed = (*row[:index], otherwise(row[index]), *row[index + 1 :])
            [difference] = found(comparison, [*rows[:at], changed, *rows[at + 1 :]]).kept
            assert list((difference.expected or {}).values()) == [row[index]]
            assert list((difference.actual or {}).values()) == [changed[index]]


def test_a_loaded_currency_is_the_currency_of_the_transactions() -> None:
    loaded: Ground = ground(loaded={(ORG, PROPERTY): "USD"})
    findings = Findings()
    comparison = compare.transactions(books_of(event(), given=loaded), loaded)
    comparison.feed(
        findings, [(ORG, "revenue", 1, 1, PROPERTY, NOON, DAY, "cash", "approved", 100, "USD", "room", *[None] * 3)]
    )
    assert findings.kept == []


@pytest.mark.parametrize(
    ("occurred_at", "past"),
    [
        (datetime(2024, 4, 30, 23, 59, 59, 999999, UTC), True),
        (datetime(2024, 5, 1, tzinfo=UTC), False),
        (NOON, False),
    ],
)
def test_rows_past_retention_may_be_absent_others_not(occurred_at: datetime, past: bool) -> None:
    folded = books_of(event(occurred_at=occurred_at))
    findings = Findings()
    comparison = compare.transactions(folded, ground())
    comparison.finish(findings, lambda stored: compare.past_retention(stored, 24))
    assert len(findings.kept) == (0 if past else 1)


@pytest.mark.parametrize(
    ("months", "may_be_absent"),
    [
        ({("revenue", 2026, 5)}, True),
        ({("expense", 2026, 5)}, False),
        ({("revenue", 2026, 4), ("revenue", 2025, 5)}, False),
    ],
)
def test_rows_of_months_that_were_taken_away_may_be_absent_no_others(
    months: set[compare.Month], may_be_absent: bool
) -> None:
    in_kolkata = datetime(2026, 5, 1, 5, 29, tzinfo=timezone(timedelta(hours=5, minutes=30)))  # still April in UTC
    [stored] = books_of(event(occurred_at=NOON)).newest.values()
    assert compare.expired(stored, months) is may_be_absent
    [stored] = books_of(event(occurred_at=in_kolkata)).newest.values()
    assert compare.expired(stored, {("revenue", 2026, 4)})


def test_retention_counts_from_the_newest_version_and_across_years() -> None:
    newest = books_of(event(occurred_at=datetime(2023, 12, 31, tzinfo=UTC), appended_at=NOON.replace(month=1)))
    [stored] = newest.newest.values()
    assert not compare.past_retention(stored, 25)
    assert compare.past_retention(stored, 24)
    assert not compare.past_retention(stored, 12 * 3000)


# --- the order of corrections ---

NOTED = [(1, 5, 10, NOON), (1, 7, 10, NOON + timedelta(seconds=1)), (2, 0, 3, NOON - timedelta(days=1))]


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ((1, 7, 10, NOON), {"recorded_at": NOON}),
        ((1, 7, 9, NOON + timedelta(seconds=1)), {"finance_position": 9}),
    ],
)
def test_the_order_of_corrections_is_that_of_their_offsets(changed: Row, what: dict[str, Any]) -> None:
    findings = Findings()
    compare_corrections.order(findings, NOTED)
    assert findings.kept == []
    compare_corrections.order(findings, [NOTED[0], changed, NOTED[2]])
    [difference] = findings.kept
    assert difference.key == {"lane": 1, "record_offset": 7}
    assert difference.actual == what


# --- lanes and the chain ---


def test_every_counter_of_a_lane() -> None:
    folded = books()
    right = LaneCounters(applied=6, duplicate=0, stale=0, conflict=2, quarantined=2, version_gaps=0, misrouted=0)
    findings = Findings()
    compare.lanes(findings, folded, {0: right, 1: LaneCounters(0, 0, 0, 0, 0, 0, 0)})
    assert findings.kept == []
    assert findings.compared["lanes"] == 2
    for name in LaneCounters._fields:
        findings = Findings()
        compare.lanes(findings, folded, {0: right._replace(**{name: 99})})
        [difference] = findings.kept
        assert difference.actual == {name: 99}


def chained(rows: Sequence[Row], head: bytes) -> Findings:
    """The old chain: events from before there were links."""
    findings = Findings()
    chain = ChainComparison([], [])
    for row in rows:
        chain.feed(findings, [row])
    chain.finish(findings, {2: (0, head)})
    return findings


OLD_LINKS = [(2, offset, NOON + timedelta(microseconds=offset), bytes([offset]) * 16) for offset in (3, 4, 7)]


def head_of(hashes: Sequence[bytes]) -> bytes:
    head = bytes(16)
    for one in hashes:
        head = blake2b(head + one, digest_size=16).digest()
    return head


def test_the_chain_from_before_there_were_links() -> None:
    right = head_of([link[3] for link in OLD_LINKS])
    assert chained(OLD_LINKS, right).kept == []
    assert chained([], bytes(16)).kept == []
    assert len(chained(OLD_LINKS, bytes(16)).kept) == 1
    assert len(chained([], right).kept) == 1
    assert len(chained(OLD_LINKS[:2], right).kept) == 1
    assert len(chained([OLD_LINKS[0], (*OLD_LINKS[1][:3], bytes(16)), OLD_LINKS[2]], right).kept) == 1


def test_the_chain_of_a_lane_without_events_is_compared_too() -> None:
    findings = Findings()
    ChainComparison([], []).finish(findings, {0: (0, bytes(16)), 1: (0, bytes([1]) * 16), 2: (1, bytes(16))})
    assert [difference.key for difference in findings.kept] == [{"lane": 1}, {"lane": 2}]


@pytest.mark.parametrize("step", [timedelta(0), timedelta(microseconds=-1)])
def test_recorded_at_rises_strictly_within_a_lane(step: timedelta) -> None:
    rows = [OLD_LINKS[0], (2, 4, OLD_LINKS[0][2] + step, bytes(16)), (3, 1, NOON - timedelta(days=1), bytes(16))]
    findings = chained(rows, head_of([rows[0][3], rows[1][3]]))
    [difference] = findings.kept
    assert difference.key == {"lane": 2, "record_offset": 4}


def test_a_wrecked_table_is_counted_in_full_and_kept_in_part() -> None:
    findings = Findings()
    for number in range(KEPT_MAX + 5):
        findings.differ("balances", {"number": number}, None, {})
    assert findings.counts["balances"] == KEPT_MAX + 5
    assert len(findings.kept) == KEPT_MAX


def test_what_strict_rules_let_in_before_its_property_was_loaded_is_found() -> None:
    strict = RULES._replace(position=5, unknown_property="quarantine")
    rules, later = {1: [RULES, strict]}, NOON + timedelta(seconds=1)
    findings = Findings()
    rows = [(kind, 1, offset, NOON, later) for kind in ("stored_events", "corrections") for offset in (4, 5)]
    compare.known_when_applied(findings, rows, rules, rules)
    assert [(each.kind, each.key["record_offset"]) for each in findings.kept] == [
        ("stored_events", 5),
        ("corrections", 5),
    ]
    assert findings.kept[0].expected == {"recorded_after": later}

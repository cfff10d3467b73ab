"""Balances and realtime updates: each comparison notices what was planted."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import pytest

from pipeline.oracle.books import PropertyKey
from pipeline.oracle.compare_days import BalanceComparison, BalanceRow, RealtimeComparison
from pipeline.oracle.daily import Figures
from pipeline.oracle.expiry import Expiry, Routing
from pipeline.oracle.findings import Findings
from pipeline.oracle.movements import Movements
from pipeline.oracle.records import Record
from pipeline.oracle.updates import Update, UpdateError, parse_update
from tests.oracle.builders import NOON

Row = tuple[Any, ...]
DAY = [date(2026, 5, day) for day in range(1, 8)]


def expected() -> dict[tuple[int, int], dict[date, Movements]]:
    return {
        (1, 10): {DAY[0]: Movements(100), DAY[2]: Movements(0, 7, 30)},
        (2, 20): {DAY[1]: Movements(5)},
    }


ROWS: list[Row] = [
    (1, 10, DAY[0], 3, NOON, 50, 100, 0, 0, 0, 150, None, 150, 0),
    (1, 10, DAY[2], 1, NOON, 150, 0, 7, 30, 0, 120, None, 120, 0),
    (2, 20, DAY[1], 1, NOON, 0, 5, 0, 0, 0, 5, None, 5, 0),
]
OPENING_CASH = {(1, 10): 50}


def balances(
    rows: Sequence[Row], counted: Mapping[PropertyKey, Mapping[date, int]] | None = None
) -> tuple[Findings, BalanceComparison]:
    findings = Findings()
    comparison = BalanceComparison(dict(expected()), OPENING_CASH, counted or {})
    for row in rows:
        comparison.feed(findings, [row])
    comparison.finish(findings)
    return findings, comparison


def test_balances_that_agree() -> None:
    findings, comparison = balances(ROWS)
    assert findings.kept == []
    assert findings.compared["balances"] == 3
    assert comparison.rows[1, 10, DAY[0]] == BalanceRow(3, NOON, Figures(50, 100, 0, 0, 0, 150, None, 150, 0))


@pytest.mark.parametrize("row", range(3))
@pytest.mark.parametrize("column", range(5, 14))
def test_any_figure_that_differs(row: int, column: int) -> None:
    changed = list(ROWS[row])
    changed[column] = (changed[column] or 0) + 1
    findings, _ = balances([tuple(changed) if index == row else one for index, one in enumerate(ROWS)])
    [difference] = findings.kept
    assert list((difference.actual or {}).values()) == [changed[column]]


@pytest.mark.parametrize("row", range(3))
def test_a_day_that_is_missing(row: int) -> None:
    findings, _ = balances(ROWS[:row] + ROWS[row + 1 :])
    [difference] = findings.kept
    assert difference.actual is None
    assert tuple(difference.key.values()) == ROWS[row][:3]


def test_a_day_of_zeros_agrees_with_no_day_but_must_show_what_was_carried_into_it() -> None:
    between = (1, 10, DAY[1], 1, NOON, 150, 0, 0, 0, 0, 150, None, 150, 0)
    after = (1, 10, DAY[5], 1, NOON, 120, 0, 0, 0, 0, 120, None, 120, 0)
    findings, _ = balances([ROWS[0], between, ROWS[1], after, ROWS[2]])
    assert findings.kept == []
    wrong = (1, 10, DAY[1], 1, NOON, 100, 0, 0, 0, 0, 100, None, 100, 0)
    findings, _ = balances([ROWS[0], wrong, ROWS[1], ROWS[2]])
    assert [difference.key["balance_date"] for difference in findings.kept] == [DAY[1]]


def test_money_where_there_should_be_none() -> None:
    findings, _ = balances([*ROWS, (2, 21, DAY[1], 1, NOON, 0, 5, 0, 0, 0, 5, None, 5, 0)])
    [difference] = findings.kept
    assert difference.expected == {
        "cash_received_cents": 0,
        "calculated_closing_balance_cents": 0,
        "closing_balance_cents": 0,
    }


def test_no_rows_at_all() -> None:
    findings, _ = balances([])
    assert findings.counts["balances"] == 3


def test_a_counted_closing_that_nobody_declared() -> None:
    findings, _ = balances([ROWS[0], ROWS[1], (*ROWS[2][:11], 5, *ROWS[2][12:])])
    [difference] = findings.kept
    assert difference.actual == {"declared_closing_cents": 5}


def test_a_counted_day_has_a_row_though_nothing_moved_and_the_next_day_opens_with_the_count() -> None:
    counted = {(1, 10): {DAY[1]: 140}, (3, 30): {DAY[0]: 7}}
    right = [
        ROWS[0],
        (1, 10, DAY[1], 1, NOON, 150, 0, 0, 0, 0, 150, 140, 140, -10),
        (1, 10, DAY[2], 1, NOON, 140, 0, 7, 30, 0, 110, None, 110, 0),
        ROWS[2],
        (3, 30, DAY[0], 1, NOON, 0, 0, 0, 0, 0, 0, 7, 7, 7),
    ]
    assert balances(right, counted)[0].kept == []
    for missing in (1, 4):
        [difference] = balances(right[:missing] + right[missing + 1 :], counted)[0].kept
        assert tuple(difference.key.values()) == right[missing][:3]
    [difference] = balances([*right[:4], (*right[4][:11], 8, 8, 8)], counted)[0].kept
    assert (difference.actual or {})["declared_closing_cents"] == 8


# --- realtime ---

KEY = (1, 10, DAY[0])


def figures(closing: int) -> Figures:
    return Figures(0, closing, 0, 0, 0, closing, None, closing, 0)


def update(version: int, closing: int | None = None, epoch: str = "a") -> Update:
    return Update(epoch, KEY, version, figures(version if closing is None else closing), NOON, NOON)


def rebuilt(version: int) -> Update:
    return update(version)._replace(rebuilt=True)


def test_a_rebuild_may_skip_versions_and_nothing_else_may() -> None:
    assert not told(update(1), rebuilt(7), update(8), version=8).kept
    assert not told(rebuilt(2), update(3), version=3).kept  # the first one, of a row that was lost and never told
    [difference] = told(update(1), rebuilt(7), update(9), version=9).kept
    assert (difference.actual or {})["untold"] == "8"
    [difference] = told(update(1), update(3), rebuilt(7), version=7).kept
    assert (difference.actual or {})["untold"] == "2"
    assert told(update(1), rebuilt(7), version=8).kept  # the newest is never skipped


def whole() -> Expiry:
    """A topic of which nothing has expired."""
    return Expiry({0: 0}, Routing(1, ()))


def begun_late() -> Expiry:
    """A topic of which the oldest records have expired."""
    return Expiry({0: 9}, Routing(1, ()))


def told(*updates: Update, version: int = 3, expiry: Expiry | None = None) -> Findings:
    findings = Findings()
    rows = {KEY: BalanceRow(version, NOON, figures(version))}
    realtime = RealtimeComparison(rows, expiry or whole())
    for one in updates:
        realtime.feed(findings, [one])
    realtime.finish(findings)
    assert realtime.not_compared + findings.compared["realtime"] == 1
    return findings


@pytest.mark.parametrize(
    "updates",
    [
        (update(1), update(2), update(3)),
        (update(2), update(1), update(3), update(3), update(1)),
        (update(1), update(2), update(3), update(4), update(9, 77)),
        (update(1), update(2), update(2, epoch="b"), update(3, epoch="b")),
        (update(1), update(2), update(3, 99), update(2, epoch="b"), update(3, epoch="b")),
    ],
    ids=["in order", "reordered and repeated", "beyond the snapshot", "failed over", "failed over, log end lost"],
)
def test_updates_that_agree(updates: tuple[Update, ...]) -> None:
    findings = told(*updates)
    assert findings.kept == []
    assert findings.compared["realtime"] == 1


@pytest.mark.parametrize(
    ("updates", "untold"),
    [
        ((), "1, 2, 3"),
        ((update(2), update(3)), "1"),
        ((update(1), update(3)), "2"),
        ((update(1), update(2)), "3"),
        ((update(1), update(2), update(4)), "3"),
        ((update(1), update(3), update(2, epoch="b")), "2"),
    ],
)
def test_a_version_that_was_not_told(updates: tuple[Update, ...], untold: str) -> None:
    [difference] = told(*updates).kept
    assert difference.actual == {"untold": untold}


def test_many_versions_that_were_not_told() -> None:
    [difference] = told(update(5000), version=5000).kept
    assert difference.actual == {"untold": "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …"}


def test_the_newest_update_must_say_what_the_row_says() -> None:
    [difference] = told(update(1), update(2), update(3, 99)).kept
    assert (difference.actual or {})["closing_balance_cents"] == 99
    assert (difference.expected or {})["closing_balance_cents"] == 3


@pytest.mark.parametrize("order", [(99, 3), (3, 99)])
def test_two_updates_of_one_version_must_say_the_same(order: tuple[int, int]) -> None:
    findings = told(update(1), update(2), update(3, order[0]), update(3, order[1]))
    assert findings.counts["realtime"] >= 1


def test_when_the_start_of_the_topic_is_gone_the_rest_must_still_be_whole() -> None:
    assert told(update(2), update(3), expiry=begun_late()).kept == []
    assert len(told(update(1), update(3), expiry=begun_late()).kept) == 1
    assert len(told(update(1), update(2), expiry=begun_late()).kept) == 1
    assert len(told(update(2), update(3, 99), expiry=begun_late()).kept) == 1


def test_a_row_of_which_every_update_may_have_expired_is_not_compared() -> None:
    findings = told(expiry=begun_late())
    assert findings.kept == []
    assert findings.compared["realtime"] == 0


def test_a_row_that_changed_after_what_the_topic_holds_must_be_in_it() -> None:
    expiry = begun_late()
    expiry.begin([Record(0, 9, NOON - timedelta(hours=1), b"")])
    before = NOON - timedelta(seconds=1)
    other = (1, 10, DAY[1])
    rows = {KEY: BalanceRow(3, NOON, figures(3)), other: BalanceRow(1, before, figures(1))}
    realtime = RealtimeComparison(rows, expiry)
    findings = Findings()
    realtime.feed(findings, [Update("a", other, 1, figures(1), before, before)])
    realtime.finish(findings)
    [difference] = findings.kept
    assert difference.key == {"org_id": 1, "property_id": 10, "balance_date": DAY[0]}
    assert difference.actual == {"untold": "3"}


def test_an_update_from_after_the_snapshot_proves_nothing_about_what_the_topic_holds() -> None:
    expiry = begun_late()
    expiry.begin([Record(0, 9, NOON - timedelta(hours=1), b"")])
    before = NOON - timedelta(seconds=1)
    realtime = RealtimeComparison({KEY: BalanceRow(3, NOON, figures(3))}, expiry)
    findings = Findings()
    realtime.feed(findings, [Update("a", (1, 10, DAY[1]), 1, figures(1), before, before)])
    realtime.feed(findings, [Update("a", KEY, 4, figures(4), before, before)])
    realtime.finish(findings)
    assert findings.kept == []
    assert realtime.not_compared == 1


def test_an_update_of_a_row_that_is_not_in_the_snapshot_came_after_it() -> None:
    findings = Findings()
    realtime = RealtimeComparison({}, whole())
    realtime.feed(findings, [update(1)])
    realtime.finish(findings)
    assert findings.kept == []


def test_an_update_is_parsed() -> None:
    said = {
        "org_id": 1,
        "property_id": 10,
        "balance_date": "2026-05-01",
        "epoch": "a",
        "version": 3,
        **figures(3)._asdict(),
        "changed_at": "2026-05-01T12:00:00Z",
    }
    assert parse_update(json.dumps(said).encode(), NOON) == update(3)
    for changed_at in ("2026-05-01T12:00:00", "noon", None):
        with pytest.raises(UpdateError):
            parse_update(json.dumps(said | {"changed_at": changed_at}).encode(), NOON)


@pytest.mark.parametrize("value", [None, b"", b"[]", b"{}", b'{"org_id": 1}', b"\xff"])
def test_what_is_no_update(value: bytes | None) -> None:
    with pytest.raises(UpdateError):
        parse_update(value, None)

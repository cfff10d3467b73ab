"""Balances: the comparison notices what was planted."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pytest

from pipeline.oracle.books import PropertyKey
from pipeline.oracle.compare_days import BalanceComparison, BalanceRow
from pipeline.oracle.daily import Figures
from pipeline.oracle.findings import Findings
from pipeline.oracle.movements import Movements
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

"""What a reconciliation prints, and its exit code."""

import json
from dataclasses import replace
from datetime import date

from pipeline.oracle.findings import Difference
from pipeline.oracle.report import Report, as_json, as_text

DIFFERENCES = tuple(
    Difference("balances", {"org_id": number, "balance_date": date(2026, 5, 1)}, {"opening": 1}, None)
    for number in range(30)
)
PROVED = Report(events=100_480, compared={"balances": 3_912}, outcomes={"applied": 100_480})
DIFFERENT = Report(events=1, compared={"balances": 40}, difference_counts={"balances": 30}, differences=DIFFERENCES)
UNPROVEN = Report(unproven="lane 3: 5 of 9 records have left the topic")


def last_line(report: Report) -> str:
    return as_text(report, 20).splitlines()[-1]


def test_success() -> None:
    assert last_line(PROVED) == "reconciliation: 100,480 events, 3,912 balances, 0 differences"
    assert PROVED.exit_code == 0


def test_corrections_are_counted_and_named_where_there_are_any() -> None:
    assert "  and 0 corrections, which made 0 adjustments" in as_text(PROVED, 20).splitlines()
    corrected = replace(PROVED, corrections=12, adjustments=1)
    assert "  and 12 corrections, which made 1 adjustment" in as_text(corrected, 20).splitlines()
    assert last_line(corrected) == "reconciliation: 100,480 events, 12 corrections, 3,912 balances, 0 differences"
    document = json.loads(as_json(corrected, 20))
    assert (document["corrections"], document["adjustments"]) == (12, 1)


def test_differences() -> None:
    assert last_line(DIFFERENT) == "reconciliation: 1 event, 40 balances, 30 differences"
    assert DIFFERENT.exit_code == 1
    text = as_text(DIFFERENT, 20)
    assert text.count("different: balances") == 20
    assert "different: balances, org_id 19, balance_date 2026-05-01\n  expected opening 1\n  actual   nothing" in text
    assert "… and 10 more" in text


def test_what_could_not_be_proved() -> None:
    assert last_line(UNPROVEN) == "reconciliation: cannot be proved: lane 3: 5 of 9 records have left the topic"
    assert UNPROVEN.exit_code == 2


def test_what_was_assumed_is_said() -> None:
    assert "not compared with their updates: 7 balances" in as_text(replace(PROVED, balances_not_compared=7), 20)
    assert "orgs on several lanes: 4" in as_text(replace(PROVED, orgs_on_several_lanes=4), 20)
    for assumption in ("trust", "not compared", "several lanes"):
        assert assumption not in as_text(PROVED, 20)


def test_what_was_taken_on_trust_stands_out_and_is_no_difference() -> None:
    trusting = replace(PROVED, taken_on_trust=2)
    assert "taken on trust: 2 records that the database rejected" in as_text(trusting, 20)
    assert last_line(trusting).endswith(" 3,912 balances, 0 differences; 2 records taken on trust")
    assert trusting.exit_code == 0
    assert json.loads(as_json(trusting, 20))["taken_on_trust"] == 2
    assert last_line(replace(DIFFERENT, taken_on_trust=1)).endswith(" 30 differences; 1 record taken on trust")


def test_json() -> None:
    document = json.loads(as_json(DIFFERENT, 2))
    assert document["exit_code"] == 1
    assert document["difference_count"] == 30
    assert document["differences"] == [
        {
            "kind": "balances",
            "key": {"org_id": number, "balance_date": "2026-05-01"},
            "expected": {"opening": 1},
            "actual": None,
        }
        for number in range(2)
    ]
    assert json.loads(as_json(UNPROVEN, 2))["unproven"] == UNPROVEN.unproven

"""Realtime updates against balances: the comparison notices what was planted."""

import json
from datetime import date, timedelta

import pytest

from pipeline.oracle.commits import Commits
from pipeline.oracle.compare_days import BalanceRow
from pipeline.oracle.compare_updates import RealtimeComparison
from pipeline.oracle.daily import Figures
from pipeline.oracle.expiry import Expiry, Routing
from pipeline.oracle.findings import Findings
from pipeline.oracle.records import Record
from pipeline.oracle.updates import Update, UpdateError, parse_update
from tests.oracle.builders import NOON

DAY = [date(2026, 5, day) for day in range(1, 8)]
TICK = timedelta(microseconds=1)
KEY = (1, 10, DAY[0])


def figures(closing: int) -> Figures:
    return Figures(0, closing, 0, 0, 0, closing, None, closing, 0)


def update(version: int, closing: int | None = None, epoch: str = "a", at: int | None = None) -> Update:
    """Committed so many moments after noon, as many as its version unless said otherwise."""
    changed_at = NOON + (version if at is None else at) * TICK
    return Update(epoch, KEY, version, figures(version if closing is None else closing), changed_at, NOON)


def rebuilt(version: int, at: int | None = None) -> Update:
    return update(version, at=at)._replace(rebuilt=True)


def test_a_rebuild_may_skip_versions_and_nothing_else_may() -> None:
    assert not told(update(1), rebuilt(7), update(8), version=8).kept
    assert not told(rebuilt(2), update(3), version=3).kept  # the first one, of a row that was lost and never told
    [difference] = told(update(1), rebuilt(7), update(9), version=9).kept
    assert (difference.actual or {})["untold"] == "8"
    [difference] = told(update(1), update(3), rebuilt(7), version=7).kept
    assert (difference.actual or {})["untold"] == "2"
    assert told(update(1), rebuilt(7), version=8).kept  # the newest is never skipped


def test_a_version_that_was_lowered_is_noticed_though_the_figures_are_those_of_that_version() -> None:
    [difference] = told(update(1), update(2), update(3, 2), version=2, until=3).kept
    assert (difference.expected, difference.actual) == ({"version": "3, as it was told"}, {"version": 2})
    # A commit of another history, and one that may lie beyond the snapshot, say nothing.
    assert not told(update(1), update(2), update(3, epoch="b"), version=2, until=3).kept
    assert not told(update(1), update(2), update(3), version=2, until=2).kept
    assert not told(update(1), update(2), update(3), version=2, until=3, epoch=None).kept  # on a standby


def test_a_version_that_was_lowered_is_noticed_when_the_row_has_passed_it_again() -> None:
    again = (update(2, at=4), update(3, at=5), update(4, at=6))
    for reordered in (again, again[::-1]):
        [difference] = told(update(1), update(2), update(3), *reordered, version=4).kept
        assert difference.key["balance_date"] == DAY[0]
        assert (difference.actual or {})["version"] in {2, 3}


def test_a_rebuild_makes_good_what_was_lowered_before_it_and_only_that() -> None:
    anew = (update(1), update(2), update(3), update(1, at=4), update(2, at=5))
    assert not told(*anew, rebuilt(8), update(9), version=9).kept
    assert told(*anew, rebuilt(3, at=6), update(4, at=7), version=4).kept  # not above what subscribers hold
    [difference] = told(*anew, rebuilt(8), update(9), update(9, at=10), version=9).kept
    assert (difference.actual or {})["version"] == 9
    assert told(update(1), rebuilt(8), update(9), update(9, at=10), rebuilt(7, at=2), version=9).kept


def test_a_rebuild_of_another_row_makes_nothing_good() -> None:
    other = (2, 10, DAY[0])
    rows = {KEY: BalanceRow(3, NOON, figures(3)), other: BalanceRow(9, NOON, figures(9))}
    for planted in (
        (update(1), update(2), update(3), update(2, at=4), update(3, at=5)),
        (update(1), update(3)),
        (update(1), update(2), update(3), update(5)),
    ):
        findings, realtime = Findings(), RealtimeComparison(rows, whole(), commits(9))
        realtime.feed(findings, [*planted, rebuilt(9)._replace(key=other)])
        realtime.finish(findings)
        [difference] = findings.kept
        assert difference.key["org_id"] == 1


def test_more_steps_of_rebuilds_than_were_ever_made() -> None:
    """What calls itself a rebuild is none: it may skip nothing."""
    assert not told(update(1), rebuilt(7), version=7, steps=1).kept
    [difference] = told(update(1), rebuilt(6), rebuilt(7), version=7, steps=1).kept
    assert (difference.expected, difference.actual) == ({"steps_of_rebuilds": 1}, {"steps_of_rebuilds": 2})


def whole() -> Expiry:
    """A topic of which nothing has expired."""
    return Expiry({0: 0}, Routing(1, ()))


def begun_late() -> Expiry:
    """A topic of which the oldest records have expired."""
    return Expiry({0: 9}, Routing(1, ()))


def commits(until: int, epoch: str | None = "a", steps: int = 9) -> Commits:
    """Of a snapshot up to so many moments after noon."""
    return Commits(epoch, {0: NOON + until * TICK}, steps)


def told(
    *updates: Update,
    version: int = 3,
    expiry: Expiry | None = None,
    until: int | None = None,
    epoch: str | None = "a",
    steps: int = 9,
) -> Findings:
    findings = Findings()
    rows = {KEY: BalanceRow(version, NOON, figures(version))}
    realtime = RealtimeComparison(rows, expiry or whole(), commits(version if until is None else until, epoch, steps))
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
    realtime = RealtimeComparison(rows, expiry, commits(3))
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
    realtime = RealtimeComparison({KEY: BalanceRow(3, NOON, figures(3))}, expiry, commits(-2_000_000))
    findings = Findings()
    realtime.feed(findings, [Update("a", (1, 10, DAY[1]), 1, figures(1), before, before)])
    realtime.feed(findings, [Update("a", KEY, 4, figures(4), before, before)])
    realtime.finish(findings)
    assert findings.kept == []
    assert realtime.not_compared == 1


def test_an_update_of_a_row_that_is_not_in_the_snapshot_came_after_it() -> None:
    findings = Findings()
    realtime = RealtimeComparison({}, whole(), commits(3))
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
    assert parse_update(json.dumps(said).encode(), NOON) == update(3, at=0)
    for changed_at in ("2026-05-01T12:00:00", "noon", None):
        with pytest.raises(UpdateError):
            parse_update(json.dumps(said | {"changed_at": changed_at}).encode(), NOON)


@pytest.mark.parametrize("value", [None, b"", b"[]", b"{}", b'{"org_id": 1}', b"\xff"])
def test_what_is_no_update(value: bytes | None) -> None:
    with pytest.raises(UpdateError):
        parse_update(value, None)

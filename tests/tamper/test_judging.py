"""What the topic was told against what the database has: failovers told apart from rewriting."""

from datetime import UTC, datetime
from uuid import UUID

from pipeline.tamper.judging import LaneChain, Met, Standing, StoredLink, Verdict, judge_heads
from schemas.chain import LinkId, Linking
from schemas.instants import instant_of

OLD, NEW = "7-1", "7-2"
OURS = Standing(NEW, untold=False)


def judged(links: dict[int, tuple[str, str]], told: dict[tuple[int, str], str], ours: Standing = OURS) -> Verdict:
    verdict = Verdict()
    judge_heads(verdict, 0, links, told, ours)
    return verdict


def test_heads_that_agree() -> None:
    verdict = judged({1: (OLD, "a"), 2: (NEW, "b")}, {(1, OLD): "a", (2, NEW): "b"})
    assert (verdict.heads_agreed, verdict.findings, verdict.lost_heads) == (2, [], {})


def test_a_rewritten_chain_is_told_by_the_topic_alone() -> None:
    verdict = judged({1: (NEW, "other")}, {(1, NEW): "a"})
    assert [(finding.seq, finding.cluster_epoch) for finding in verdict.findings] == [(1, NEW)]


def test_what_a_failover_lost_is_no_finding() -> None:
    told = {(1, OLD): "a", (2, OLD): "lost", (3, OLD): "lost", (2, NEW): "b"}
    verdict = judged({1: (OLD, "a"), 2: (NEW, "b")}, told)
    assert verdict.findings == []
    assert verdict.lost_heads == {OLD: 2}


def test_a_link_that_the_same_primary_has_told_and_lacks_is_a_finding() -> None:
    assert [finding.seq for finding in judged({1: (NEW, "a")}, {(1, NEW): "a", (2, NEW): "b"}).findings] == [2]


def test_a_timeline_that_goes_on_behind_a_missing_link_has_lost_nothing() -> None:
    told = {(1, OLD): "a", (2, OLD): "b", (3, OLD): "c"}
    verdict = judged({1: (OLD, "a"), 2: (NEW, "x"), 3: (OLD, "c")}, told)
    assert {finding.seq for finding in verdict.findings} == {2}
    assert verdict.lost_heads == {}


def test_links_that_wait_to_be_told_and_such_as_nobody_will_tell() -> None:
    links, told = {1: (NEW, "a"), 2: (NEW, "b")}, {(1, NEW): "a"}
    assert judged(links, told, Standing(NEW, untold=True)).heads_waiting == 1
    assert [finding.seq for finding in judged(links, told).findings] == [2]


def test_heads_that_left_the_topic_are_counted() -> None:
    verdict = judged({1: (NEW, "a"), 2: (NEW, "b")}, {(2, NEW): "b"})
    assert (verdict.heads_expired, verdict.heads_agreed, verdict.findings) == (1, 1, [])


def test_a_link_in_the_middle_that_was_never_told_is_a_finding() -> None:
    links = {1: (NEW, "a"), 2: (NEW, "b"), 3: (NEW, "c")}
    assert [finding.seq for finding in judged(links, {(1, NEW): "a", (3, NEW): "c"}).findings] == [2]


def closed_without_rows(months: frozenset[str]) -> Verdict:
    at = instant_of(datetime(2026, 3, 5, tzinfo=UTC))
    link = StoredLink(LinkId(0, 1, UUID(int=1), 1, NEW, 5, 0), at, at + 4, bytes(16), bytes(32))
    verdict = Verdict()
    LaneChain(verdict, months, from_the_first=True).close(link, Linking(bytes(16), link.id), Met())
    return verdict


def test_rows_of_a_month_that_was_archived_are_not_missed() -> None:
    verdict = closed_without_rows(frozenset({"2026_03"}))
    assert (verdict.findings, verdict.archived_links, verdict.archived_events, verdict.events) == ([], 1, 5, 0)


def test_rows_of_any_other_month_are() -> None:
    verdict = closed_without_rows(frozenset({"2026_02"}))
    assert [finding.what for finding in verdict.findings] == ["0 events are stored, 5 were"]

"""What the topic was told against what the database has: failovers told apart from rewriting."""

from pipeline.tamper.judging import Standing, Verdict, judge_heads

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

"""What the topic was told against what the database has: failovers told apart from rewriting."""

from collections.abc import AsyncIterator, Collection
from uuid import UUID

import pytest

from pipeline.tamper import heads as module
from pipeline.tamper.heads import LaneHeads, LinkHead, Standing, StretchHeads, ToldHead, stretches
from pipeline.tamper.judging import KEPT_MAX, StoredLink, Verdict
from schemas.chain import LinkId

OLD, NEW = "7-1", "7-2"
OURS = Standing(NEW, untold=False)
THEN = 1_000  # when every link was recorded: unless a test says otherwise, longer ago than the topic keeps


def judged(
    links: dict[int, tuple[str, str]],
    told: dict[tuple[int, str], str],
    ours: Standing = OURS,
    since: Collection[tuple[int, str]] = (),
    kept_since: int = THEN + 1,
) -> Verdict:
    """In one stretch, and the same in as many stretches as there are numbers."""
    whole, cut = Verdict(), Verdict()
    newest = {epoch: seq for seq, (epoch, _) in sorted(links.items())}
    first = min((seq for seq, _ in told), default=None)
    for verdict, of in ((whole, lambda _: 0), (cut, lambda seq: seq)):
        heads = LaneHeads(verdict, 0, ours, newest, first, kept_since)
        for stretch in sorted({of(seq) for seq in (*links, *(seq for seq, _ in told))}):
            heads.take(
                [LinkHead(seq, *link, THEN) for seq, link in sorted(links.items()) if of(seq) == stretch],
                StretchHeads(
                    {key: ToldHead(head, key in since) for key, head in told.items() if of(key[0]) == stretch}
                ),
            )
        heads.end()
    assert cut == whole
    return whole


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


def test_heads_that_leave_the_topic_while_it_is_read_are_counted_as_well() -> None:
    """The survey met all of them; then the first of a stretch go, and all of another one."""
    verdict = Verdict()
    heads = LaneHeads(verdict, 0, OURS, {NEW: 6}, first_told=1, kept_since=THEN + 1)
    links = [LinkHead(seq, NEW, str(seq), THEN) for seq in range(1, 7)]
    heads.take(links[:2], StretchHeads({}, cut=True))
    heads.take(links[2:], StretchHeads({(4, NEW): ToldHead("4", False), (6, NEW): ToldHead("6", False)}, cut=True))
    heads.end()
    assert (verdict.heads_expired, verdict.heads_agreed) == (3, 2)
    assert [finding.seq for finding in verdict.findings] == [5], "behind what is still there, nothing has expired"


@pytest.mark.parametrize("told", [{}, {(3, NEW): "c"}])
def test_what_is_younger_than_the_topic_keeps_has_not_expired(told: dict[tuple[int, str], str]) -> None:
    """Somebody made it behind the last link of a lane that was idle; the lane may have gone on since."""
    links = {1: (NEW, "a"), 2: (NEW, "b"), 3: (NEW, "c")}
    links = {seq: link for seq, link in links.items() if seq < 3 or told}
    assert [finding.seq for finding in judged(links, told, kept_since=THEN).findings] == [1, 2]


def test_a_link_in_the_middle_that_was_never_told_is_a_finding() -> None:
    links = {1: (NEW, "a"), 2: (NEW, "b"), 3: (NEW, "c")}
    assert [finding.seq for finding in judged(links, {(1, NEW): "a", (3, NEW): "c"}).findings] == [2]


def test_what_a_new_primary_has_yet_to_tell_waits_although_the_old_one_told_of_that_number() -> None:
    """The number was used twice: the first time by a batch that the failover lost."""
    told = {(1, OLD): "a", (2, OLD): "lost"}
    verdict = judged({1: (OLD, "a"), 2: (NEW, "b")}, told, Standing(NEW, untold=True))
    assert (verdict.findings, verdict.heads_waiting, verdict.lost_heads) == ([], 1, {OLD: 1})


def test_what_was_told_since_the_database_was_asked_accuses_nobody_of_a_link_that_is_not_there() -> None:
    told = {(1, NEW): "a", (2, NEW): "b", (3, NEW): "c"}
    verdict = judged({1: (NEW, "a"), 2: (NEW, "b")}, told, since={(2, NEW), (3, NEW)})
    assert (verdict.findings, verdict.heads_agreed, verdict.lost_heads) == ([], 2, {})


def test_what_was_told_since_of_a_link_that_is_there_must_agree() -> None:
    verdict = judged({1: (NEW, "other")}, {(1, NEW): "a"}, since={(1, NEW)})
    assert [finding.what for finding in verdict.findings] == ["the topic was told head a"]


def test_of_many_links_that_nobody_was_told_of_the_first_are_kept_and_all_are_counted() -> None:
    many = dict.fromkeys(range(1, 3 * KEPT_MAX), (NEW, "a"))
    verdict = judged(many, {(3 * KEPT_MAX, NEW): "b"} | {(1, NEW): "a"})
    assert [finding.seq for finding in verdict.findings][1:] == list(range(2, KEPT_MAX + 1))
    assert verdict.findings_count == 1 + len(many) - 1


async def test_links_and_heads_pass_by_stretch_also_where_only_one_side_has_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "NUMBERS_OF_STRETCH", 10)

    async def links() -> AsyncIterator[StoredLink]:
        for seq in (8, 9, 10, 35, 36):
            yield StoredLink(LinkId(0, seq, UUID(int=seq), 1, NEW, 0, 0), 0, 0, bytes(32), bytes(32))

    found = [(stretch, [link.seq for link in held]) async for stretch, held in stretches(links(), {5, 1, 2})]
    assert found == [(0, [8, 9]), (1, [10]), (2, []), (3, [35, 36]), (5, [])]

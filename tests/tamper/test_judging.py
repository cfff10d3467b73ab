"""Links against the rows that are there: what was archived told apart from what was removed."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import pytest

from pipeline.tamper.judging import LaneChain, Met, StoredLink, Verdict
from schemas.chain import LinkId, Linking
from schemas.instants import Instant, instant_of

NEW = "7-2"


MARCH_ENDS = instant_of(datetime(2026, 4, 1, tzinfo=UTC))
# Of a batch of five events, two were recorded before midnight and three after.
FIVE = tuple(MARCH_ENDS + after for after in (-2, -1, 0, 1, 2))


def closed(months: frozenset[str], recorded: Sequence[Instant], corrections: int = 0) -> Verdict:
    """The link of the five, of which those with some instants are there."""
    link = StoredLink(LinkId(0, 1, UUID(int=1), 1, NEW, 5, 1), FIVE[0], FIVE[-1], bytes(16), bytes(32))
    verdict, met = Verdict(), Met(corrections=corrections)
    for offset, instant in enumerate(recorded):
        met.event(offset, instant)
    LaneChain(verdict, months, from_the_first=True).close(link, Linking(bytes(16), link.id), met)
    return verdict


@pytest.mark.parametrize(
    ("months", "recorded"),
    [({"2026_03", "2026_04"}, ()), ({"2026_03"}, FIVE[2:]), ({"2026_04"}, FIVE[:2])],
)
def test_rows_of_a_month_that_was_archived_are_not_missed(months: set[str], recorded: Sequence[Instant]) -> None:
    """Also where the month ended in the middle of the batch."""
    verdict = closed(frozenset(months), recorded, corrections=1)
    assert (verdict.findings, verdict.archived_links, verdict.archived_events, verdict.events) == ([], 1, 5, 0)


@pytest.mark.parametrize(
    ("months", "recorded", "there"),
    [
        ({"2026_02"}, (), 0),
        ({"2026_02", "2026_05"}, FIVE[2:], 3),
        ({"2026_03"}, FIVE[1:], 4),  # of the archived month one is there: then it did not leave as a whole
        ({"2026_03"}, (*FIVE[2:], *[FIVE[4]] * 3), 6),
    ],
)
def test_rows_of_any_other_month_are(months: set[str], recorded: Sequence[Instant], there: int) -> None:
    verdict = closed(frozenset(months), recorded, corrections=1)
    assert [finding.what for finding in verdict.findings] == [f"{there} events are stored, 5 were"]


def test_a_link_that_was_rewritten_to_end_never_is_a_finding_and_no_failure() -> None:
    link = StoredLink(LinkId(0, 1, UUID(int=1), 1, NEW, 5, 0), -(1 << 63), (1 << 63) - 1, bytes(16), bytes(32))
    verdict = Verdict()
    LaneChain(verdict, frozenset({"2026_03"}), from_the_first=True).close(link, Linking(bytes(16), link.id), Met())
    assert [finding.what for finding in verdict.findings] == ["0 events are stored, 5 were"]


def test_corrections_stay_when_the_events_of_their_link_are_archived() -> None:
    verdict = closed(frozenset({"2026_03"}), FIVE[2:])
    assert [finding.what for finding in verdict.findings] == ["0 corrections are stored, 1 were"]
    assert verdict.archived_links == 1

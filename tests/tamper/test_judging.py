"""Links against the rows that are there: what was archived told apart from what was removed."""

from datetime import UTC, datetime
from uuid import UUID

from pipeline.tamper.judging import LaneChain, Met, StoredLink, Verdict
from schemas.chain import LinkId, Linking
from schemas.instants import instant_of

NEW = "7-2"


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

"""A correction's record becomes a correction or a reason, never an exception."""

from datetime import timedelta
from typing import Any

import pytest

from schemas.reasons import Reason
from schemas.records import AcceptedCorrection, Judged
from schemas.topics import Feed
from tests.support.events import NOON, RULES, TODAY, Offsets, correction, encoded


def judged(body: dict[str, Any]) -> Judged:
    return Offsets(feed=Feed.CORRECTIONS).record(encoded(body))


@pytest.mark.parametrize(
    "body",
    [
        correction(),
        correction(figures=(0, 1, 2, 3)),
        correction(declared=90),
        correction(declared=-90),
        correction(declared=None),
        correction() | {"figures": None, "declared_closing_cents": None, "seen_by": "unknown fields are kept"},
        correction(day=TODAY - RULES.past_max - timedelta(days=1)),
    ],
)
def test_what_accountants_send_is_accepted(body: dict[str, Any]) -> None:
    assert isinstance(judged(body), AcceptedCorrection)


@pytest.mark.parametrize(
    ("body", "reason", "where"),
    [
        (correction(figures=(1, 2, 3, 4)) | {"figures": None}, Reason.SCHEMA, "$.figures"),
        (correction() | {"figures": {"cash_received_cents": 1}}, Reason.SCHEMA, "figures"),
        (correction(figures=(-1, 0, 0, 0)), Reason.SCHEMA, "$.figures.cash_received_cents"),
        (correction(declared=1) | {"kind": "recompute"}, Reason.SCHEMA, "$.declared_closing_cents"),
        (correction() | {"kind": "declared_closing"}, Reason.SCHEMA, "$.declared_closing_cents"),
        (correction() | {"reason": ""}, Reason.SCHEMA, "$.reason"),
        (correction() | {"reason": "a\x00b"}, Reason.TEXT, "$.reason"),
        (correction(day=TODAY + timedelta(days=3)), Reason.TIME_OUT_OF_BOUNDS, "$.balance_date"),
        (correction() | {"issued_at": "0001-01-01T00:00:00Z"}, Reason.TIME_OUT_OF_BOUNDS, "$.issued_at"),
        (correction() | {"issued_at": "0001-01-01T00:00:00+05:30"}, Reason.TIME_OUT_OF_BOUNDS, "$.issued_at"),
        (correction() | {"issued_at": "9999-12-31T23:59:59.999999Z"}, Reason.TIME_OUT_OF_BOUNDS, "$.issued_at"),
    ],
)
def test_what_breaks_a_rule_says_which_and_where(body: dict[str, Any], reason: Reason, where: str) -> None:
    record = judged(body)
    assert not isinstance(record, AcceptedCorrection)
    assert (getattr(record, "reason", None), where in getattr(record, "detail", "")) == (reason, True), record


def test_its_hash_covers_what_it_says_and_not_who_shows_it() -> None:
    def hash_of(**changes: Any) -> bytes:
        record = judged(correction(id_=1, declared=5) | changes)
        assert isinstance(record, AcceptedCorrection)
        return record.content_hash

    same = hash_of()
    assert hash_of(recorded_by={"user_id": 8, "name": "Ravi"}) == same
    later = (NOON + timedelta(seconds=1)).isoformat()
    others = [hash_of(reason="typo"), hash_of(issued_at=later), hash_of(declared_closing_cents=None), hash_of(org_id=2)]
    assert len({same, *others}) == 5

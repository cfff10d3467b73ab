"""Finance events for tests: valid by default, one word to make them what a test needs."""

import itertools
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from schemas.codec import Rules, judge, judge_correction
from schemas.records import Accepted, AcceptedCorrection, Headers, Judged, Origin
from schemas.topics import Feed

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
RULES = Rules(past_max=timedelta(days=3660), future_max=timedelta(hours=24))
TODAY = NOON.date()
_ids = itertools.count(1)


def event(
    aggregate_id: int = 1,
    version: int = 1,
    *,
    kind: str = "revenue",
    verb: str | None = None,
    status: str = "approved",
    amount: int = 100,
    mode: str = "cash",
    org: int = 1,
    property_: int = 1,
    at: datetime = NOON,
    **data: Any,
) -> dict[str, Any]:
    """An event as a producer would write it, before encoding. `verb` follows the status unless given."""
    verb = verb or {"deleted": "deleted", "rejected": "rejected"}.get(status, "created" if version == 1 else "updated")
    return {
        "event_id": str(UUID(int=next(_ids))),
        "type": f"{kind}.{verb}",
        "org_id": org,
        "property_id": property_,
        "aggregate_id": aggregate_id,
        "version": version,
        "occurred_at": at.isoformat(),
        "recorded_by": {"user_id": 7, "name": "Asha"},
        "data": {"amount_cents": amount, "payment_mode": mode, "status": status, **data},
    }


_FIGURES = ("cash_received_cents", "bank_received_cents", "cash_expenses_cents", "bank_expenses_cents")


def correction(
    *,
    id_: int | None = None,
    org: int = 1,
    property_: int = 1,
    day: date = TODAY,
    figures: tuple[int, int, int, int] | None = None,
    **count: int | None,
) -> dict[str, Any]:
    """A correction as an accountant's tool would write it: `figures`, or `declared`, or neither: recompute."""
    body: dict[str, Any] = {
        "correction_id": str(UUID(int=id_ if id_ is not None else next(_ids))),
        "org_id": org,
        "property_id": property_,
        "balance_date": day.isoformat(),
        "kind": "recompute",
        "reason": "counted again",
        "recorded_by": {"user_id": 8},
        "issued_at": NOON.isoformat(),
    }
    if figures is not None:
        body |= {"kind": "figures", "figures": dict(zip(_FIGURES, figures, strict=True))}
    if "declared" in count:
        body |= {"kind": "declared_closing", "declared_closing_cents": count["declared"]}
    return body


def encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


@dataclass
class Offsets:
    """Gives records of a lane their offsets and append times, as a broker would."""

    lane: int = 0
    next: int = 0
    appended_at: datetime = NOON + timedelta(hours=1)
    feed: Feed = Feed.EVENTS
    headers: Headers = ()  # of every record from now on

    def record(self, value: bytes | None, key: bytes | None = b"1") -> Judged:
        """The next record of the lane, judged."""
        origin = Origin(self.feed, self.lane, self.next, self.appended_at, key, value, self.headers)
        self.next += 1
        return judge(origin, RULES) if self.feed is Feed.EVENTS else judge_correction(origin, RULES)

    def event(self, *args: Any, **kwargs: Any) -> Accepted:
        """The next record of the lane, with an event that must be valid."""
        body = event(*args, **kwargs)
        record = self.record(encoded(body), key=str(body["org_id"]).encode())
        assert isinstance(record, Accepted), record
        return record

    def correction(self, **kwargs: Any) -> AcceptedCorrection:
        """The next record of the lane, with a correction that must be valid."""
        body = correction(**kwargs)
        record = self.record(encoded(body), key=str(body["org_id"]).encode())
        assert isinstance(record, AcceptedCorrection), record
        return record

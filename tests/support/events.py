"""Finance events for tests: valid by default, one word to make them what a test needs."""

import itertools
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from schemas.codec import Rules, judge
from schemas.records import Accepted, Judged, Origin
from schemas.topics import FINANCE_EVENTS

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
RULES = Rules(past_max=timedelta(days=3660), future_max=timedelta(hours=24))
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


def encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


@dataclass
class Offsets:
    """Gives records of a lane their offsets and append times, as a broker would."""

    lane: int = 0
    next: int = 0
    appended_at: datetime = NOON + timedelta(hours=1)

    def record(self, value: bytes | None, key: bytes | None = b"1") -> Judged:
        """The next record of the lane, judged."""
        origin = Origin(FINANCE_EVENTS, self.lane, self.next, self.appended_at, key, value, ())
        self.next += 1
        return judge(origin, RULES)

    def event(self, *args: Any, **kwargs: Any) -> Accepted:
        """The next record of the lane, with an event that must be valid."""
        body = event(*args, **kwargs)
        record = self.record(encoded(body), key=str(body["org_id"]).encode())
        assert isinstance(record, Accepted), record
        return record

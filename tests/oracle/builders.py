"""Records for tests: a valid event with what the test is about changed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from pipeline.oracle.books import Books, Ground, PropertyKey, RecordKey, Zone
from pipeline.oracle.decode import Content, Event, Judged
from pipeline.oracle.decode_corrections import Correction, CorrectionContent
from pipeline.oracle.fold import fold
from pipeline.oracle.pauses import NO_PAUSES, Pauses
from pipeline.oracle.records import Rejected, Rules

LANES = 8
ORG, PROPERTY = 2, 70  # at home on lane 0
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)  # 17:30 in Asia/Kolkata
RULES = Rules(0, timedelta(days=3660), timedelta(hours=24), "INR", "Asia/Kolkata", "register", LANES)
MEANT_FOR_IDENTITY = {"lane", "offset", "appended_at", "org_id", "aggregate_type", "aggregate_id", "version"}


def content(**changes: Any) -> Content:
    return Content(
        type="revenue.approved",
        property_id=PROPERTY,
        occurred_at=NOON,
        user_id=1,
        amount_cents=100,
        payment_mode="cash",
        status="approved",
        currency=None,
        category="room",
        description=None,
        bank_reference=None,
        source=None,
    )._replace(**changes)


def event(offset: int = 0, **changes: Any) -> Event:
    """An approved revenue of 100 in cash; a change goes to the content unless it names the record or the identity."""
    outer = {name: changes.pop(name) for name in MEANT_FOR_IDENTITY & changes.keys()}
    return Event(
        lane=0,
        offset=offset,
        appended_at=NOON,
        digest=digest(offset),
        event_id=offset.to_bytes(16, "big"),
        org_id=ORG,
        aggregate_type="revenue",
        aggregate_id=1,
        version=1,
        content=content(**changes),
    )._replace(**outer)


def correction(offset: int = 0, **changes: Any) -> Correction:
    """A count of 90 of a day; a change goes to the content unless it names the record or the identity."""
    outer = {name: changes.pop(name) for name in ("lane", "appended_at", "org_id", "correction_id") if name in changes}
    return Correction(
        lane=0,
        offset=offset,
        appended_at=NOON,
        digest=digest(offset),
        correction_id=offset.to_bytes(16, "big"),
        org_id=ORG,
        content=CorrectionContent(
            property_id=PROPERTY,
            balance_date=NOON.date(),
            kind="declared_closing" if "figures" not in changes else "figures",
            figures=None,
            declared_closing_cents=90 if "figures" not in changes else None,
            reason="counted again",
            user_id=1,
            issued_at=NOON,
        )._replace(**changes),
    )._replace(**outer)


def rejected(offset: int, reason: str = "schema", lane: int = 0) -> Rejected:
    return Rejected(lane, offset, digest(offset), reason, "")


def digest(offset: int) -> bytes:
    return sha256(str(offset).encode()).digest()


def ground(
    rules: Mapping[int, Sequence[Rules]] | None = None,
    loaded: Mapping[PropertyKey, str] | None = None,
    zones: Mapping[PropertyKey, Sequence[Zone]] | None = None,
    database_rejected: frozenset[RecordKey] = frozenset(),
    correction_rules: Mapping[int, Sequence[Rules]] | None = None,
    corrections_rejected: frozenset[RecordKey] = frozenset(),
    pauses: Pauses = NO_PAUSES,
    **since: Mapping[Any, datetime],
) -> Ground:
    rules = rules or {lane: [RULES] for lane in range(LANES)}
    return Ground(
        rules=rules,
        loaded_currencies=loaded or {},
        zones=zones or {},
        database_rejected=database_rejected,
        correction_rules=correction_rules or rules,
        corrections_rejected=corrections_rejected,
        pauses=pauses,
        correction_pauses=pauses,
        **since,
    )


def lanes_of(*records: Judged) -> dict[int, list[Judged]]:
    """The records by lane, each lane's in the order given."""
    lanes: dict[int, list[Judged]] = {}
    for record in records:
        lanes.setdefault(record.lane, []).append(record)
    return lanes


def books_of(*records: Judged, given: Ground | None = None) -> Books:
    """Fold records of any lanes, each lane's in the order given."""
    return fold(lanes_of(*records), given or ground())

"""From a record's bytes to an event, or to the reason why not. Never raises for what a producer sent."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, lru_cache
from math import ceil
from typing import Final, TypeVar

import msgspec

from schemas.content_hash import content_hash_at, correction_hash
from schemas.corrections import BalanceCorrection
from schemas.events import AGGREGATE_TYPES, AGREEING, FinanceEvent
from schemas.instants import instant_of, microseconds
from schemas.reading import Reader
from schemas.reasons import Reason
from schemas.records import Accepted, AcceptedCorrection, Headers, Origin, Rejected

# Far above any real event (about 400 bytes), far below what would crowd a batch out of memory.
RECORD_BYTES_MAX: Final = 256 * 1024
_DETAIL_CHARS_MAX: Final = 500
_DAY: Final = timedelta(days=1)
_BACKSLASH: Final = ord("\\")  # a number: looking for bytes in bytes, Python raises and catches a TypeError first
# A broker stamps a whole batch of records at once.
_instant_appended = lru_cache(maxsize=1024)(instant_of)

T = TypeVar("T", bound=msgspec.Struct)
_EVENTS: Final = Reader(FinanceEvent, {"event_id": "id", "type": "type", "occurred_at": "time"})
# Its ce_type says nothing that the topic does not say.
_CORRECTIONS: Final = Reader(BalanceCorrection, {"correction_id": "id", "issued_at": "time"})


@dataclass(frozen=True)
class Rules:
    """The bounds that are settings. What a lane was judged by is recorded with it, so that it can be proved later."""

    past_max: timedelta
    future_max: timedelta

    @cached_property
    def earliest_us(self) -> int:
        """An event occurred so many microseconds after its append time at least: a negative number."""
        return -microseconds(self.past_max)

    @cached_property
    def latest_us(self) -> int:
        """An event occurred so many microseconds after its append time at most."""
        return microseconds(self.future_max)


def judge(origin: Origin, rules: Rules) -> Accepted | Rejected:
    """Decode a record of `finance-events` and check every rule that needs no database."""
    event = _decoded(origin, _EVENTS)
    if isinstance(event, Rejected):
        return event
    if (event.type, event.data.status) not in AGREEING:
        detail = f"type {event.type} does not agree with status {event.data.status} - at `$.data.status`"
        return Rejected(origin, Reason.STATUS_MISMATCH, detail)
    occurred_at, appended_at = instant_of(event.occurred_at), _instant_appended(origin.appended_at)
    # Judged against the broker's append time, never against now(): a replay must come to the same verdict.
    if not rules.earliest_us <= occurred_at - appended_at <= rules.latest_us:
        return Rejected(origin, Reason.TIME_OUT_OF_BOUNDS, _time_detail(event, origin, rules))
    if _may_hold_nul(origin) and (guilty := _text_with_nul(event)) is not None:
        return Rejected(origin, Reason.TEXT, f"NUL in text - at `$.{guilty}`")
    key = (event.org_id, AGGREGATE_TYPES[event.type], event.aggregate_id)
    return Accepted(origin, event, key, content_hash_at(event, occurred_at), occurred_at, appended_at)


def reread(value: bytes, headers: Headers) -> FinanceEvent:
    """The event of a record that was accepted once: of its form alone, for its time was judged when it came.

    Raises msgspec.DecodeError, and UnicodeDecodeError, for what was never accepted as it is.
    """
    return _EVENTS.read(value, headers)


def judge_correction(origin: Origin, rules: Rules) -> AcceptedCorrection | Rejected:
    """Decode a record of `balance-corrections` and check every rule that needs no database."""
    correction = _decoded(origin, _CORRECTIONS)
    if isinstance(correction, Rejected):
        return correction
    untimely = _untimely(correction, origin, rules)
    if untimely is not None:
        return Rejected(origin, Reason.TIME_OUT_OF_BOUNDS, untimely)
    if _may_hold_nul(origin) and "\x00" in correction.reason + (correction.recorded_by.name or ""):
        return Rejected(origin, Reason.TEXT, "NUL in text - at `$.reason` or `$.recorded_by.name`")
    return AcceptedCorrection(origin, correction, correction_hash(correction))


def _untimely(correction: BalanceCorrection, origin: Origin, rules: Rules) -> str | None:
    """What is too far from the time of appending."""
    days = (correction.balance_date - origin.appended_at.date()).days
    # A day more on either side: the calendar of the property may be a day away from that of UTC.
    if not -rules.past_max.days - 1 <= days <= ceil(rules.future_max / _DAY) + 1:
        return f"balance_date {correction.balance_date} is {days} days from {origin.appended_at} - at `$.balance_date`"
    # PostgreSQL's driver takes the ends of the calendar for infinity: what was issued has a time.
    if not -rules.past_max <= correction.issued_at - origin.appended_at <= rules.future_max:
        return f"issued_at {correction.issued_at.isoformat()} is too far from {origin.appended_at} - at `$.issued_at`"
    return None


def _decoded(origin: Origin, reader: Reader[T]) -> T | Rejected:
    value = origin.value
    if value is None:
        return Rejected(origin, Reason.EMPTY, "the record has no value")
    if len(value) > RECORD_BYTES_MAX:
        return Rejected(origin, Reason.TOO_LARGE, f"{len(value)} bytes; at most {RECORD_BYTES_MAX} are accepted")
    try:
        return reader.read(value, origin.headers)
    except msgspec.ValidationError as error:
        return Rejected(origin, Reason.SCHEMA, _brief(error))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Rejected(origin, Reason.MALFORMED, _brief(error))


def _brief(error: Exception) -> str:
    return str(error)[:_DETAIL_CHARS_MAX]


def _may_hold_nul(origin: Origin) -> bool:
    # JSON can write NUL only as an escape and MessagePack only as it is: most records are cleared by a scan of bytes,
    # and most of these by the quickest one there is, for a single byte.
    value = origin.value or b""
    return (_BACKSLASH in value and b"\\u0000" in value) or (bool(origin.headers) and b"\x00" in value)


def _time_detail(event: FinanceEvent, origin: Origin, rules: Rules) -> str:
    return (
        f"occurred_at {event.occurred_at.isoformat()} is outside {rules.past_max.days} days before to "
        f"{rules.future_max} after {origin.appended_at.isoformat()} - at `$.occurred_at`"
    )


def _text_with_nul(event: FinanceEvent) -> str | None:
    texts = {
        "recorded_by.name": event.recorded_by.name,
        "data.category": event.data.category,
        "data.description": event.data.description,
        "data.bank_reference": event.data.bank_reference,
        "data.source": event.data.source,
    }
    return next((name for name, text in texts.items() if text is not None and "\x00" in text), None)

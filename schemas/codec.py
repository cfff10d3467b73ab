"""From a record's bytes to an event, or to the reason why not. Never raises for what a producer sent."""

import re
from collections.abc import Callable
from datetime import timedelta
from math import ceil
from typing import Final, TypeVar

import msgspec

from schemas.content_hash import content_hash, correction_hash
from schemas.corrections import BalanceCorrection
from schemas.events import AGREEING, FinanceEvent
from schemas.reasons import Reason
from schemas.records import Accepted, AcceptedCorrection, Headers, Origin, Rejected

# Far above any real event (about 400 bytes), far below what would crowd a batch out of memory.
RECORD_BYTES_MAX: Final = 256 * 1024
# Real events nest twice. Without a bound of our own, deep nesting raises RecursionError at a depth that hangs on the
# caller's stack: the same record would be judged differently by two workers.
NESTING_MAX: Final = 100
_DETAIL_CHARS_MAX: Final = 500
# An unterminated string runs to the end: else each of its quotes would be tried as a beginning, in square time.
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")

_DAY: Final = timedelta(days=1)

T = TypeVar("T")
_decode_event = msgspec.json.Decoder(FinanceEvent).decode
_decode_correction = msgspec.json.Decoder(BalanceCorrection).decode
_skip = msgspec.json.Decoder(msgspec.Raw).decode


class Rules(msgspec.Struct, frozen=True):
    """The bounds that are settings. What a lane was judged by is recorded with it, so that it can be proved later."""

    past_max: timedelta
    future_max: timedelta


def judge(origin: Origin, rules: Rules) -> Accepted | Rejected:
    """Decode a record of `finance-events` and check every rule that needs no database."""
    event = _decoded(origin, _decode_event)
    if isinstance(event, Rejected):
        return event
    broken = _broken_rule(event, origin, rules)
    if broken is not None:
        return Rejected(origin, *broken)
    key = (event.org_id, event.aggregate_type, event.aggregate_id)
    return Accepted(origin, event, key, content_hash(event))


def judge_correction(origin: Origin, rules: Rules) -> AcceptedCorrection | Rejected:
    """Decode a record of `balance-corrections` and check every rule that needs no database."""
    correction = _decoded(origin, _decode_correction)
    if isinstance(correction, Rejected):
        return correction
    days = (correction.balance_date - origin.appended_at.date()).days
    # A day more on either side: the calendar of the property may be a day away from that of UTC.
    if not -rules.past_max.days - 1 <= days <= ceil(rules.future_max / _DAY) + 1:
        detail = (
            f"balance_date {correction.balance_date} is {days} days from {origin.appended_at} - at `$.balance_date`"
        )
        return Rejected(origin, Reason.TIME_OUT_OF_BOUNDS, detail)
    if b"\\u0000" in (origin.value or b"") and "\x00" in correction.reason + (correction.recorded_by.name or ""):
        return Rejected(origin, Reason.TEXT, "NUL in text - at `$.reason` or `$.recorded_by.name`")
    return AcceptedCorrection(origin, correction, correction_hash(correction))


def _decoded(origin: Origin, decode: Callable[[bytes], T]) -> T | Rejected:
    value = origin.value
    if value is None:
        return Rejected(origin, Reason.EMPTY, "the record has no value")
    if len(value) > RECORD_BYTES_MAX:
        return Rejected(origin, Reason.TOO_LARGE, f"{len(value)} bytes; at most {RECORD_BYTES_MAX} are accepted")
    if (name := _unreadable_name(origin.headers)) is not None:
        return Rejected(origin, Reason.MALFORMED, f"the name of a header is not UTF-8: {name!r}"[:_DETAIL_CHARS_MAX])
    try:
        _require_text(value)
        return decode(value)
    except msgspec.ValidationError as error:
        return _invalid(origin, value, error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Rejected(origin, Reason.MALFORMED, _brief(error))


def _unreadable_name(headers: Headers) -> str | None:
    """The name that is not UTF-8; None where all of them are."""
    for name, _ in headers:
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            return name
    return None


def _require_text(value: bytes) -> None:
    """What msgspec does not look at in unknown fields: UTF-8, and depth."""
    if not value.isascii():
        value.decode("utf-8")
    if value.count(b"[") + value.count(b"{") > NESTING_MAX and _nesting(value) > NESTING_MAX:
        raise msgspec.DecodeError(f"nested deeper than {NESTING_MAX} levels")


def _nesting(value: bytes) -> int:
    depth = deepest = 0
    for byte in _STRING.sub(b"", value).translate(None, _NO_BRACKETS):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def _invalid(origin: Origin, value: bytes, error: msgspec.ValidationError) -> Rejected:
    # The decoder stops at the first fault that it meets; the verdict must not hang on the order of the fields.
    try:
        _skip(value)
    except msgspec.DecodeError as malformed:
        return Rejected(origin, Reason.MALFORMED, _brief(malformed))
    return Rejected(origin, Reason.SCHEMA, _brief(error))


def _brief(error: Exception) -> str:
    return str(error)[:_DETAIL_CHARS_MAX]


def _broken_rule(event: FinanceEvent, origin: Origin, rules: Rules) -> tuple[Reason, str] | None:
    if (event.type, event.data.status) not in AGREEING:
        detail = f"type {event.type} does not agree with status {event.data.status} - at `$.data.status`"
        return Reason.STATUS_MISMATCH, detail
    # Judged against the broker's append time, never against now(): a replay must come to the same verdict.
    if not -rules.past_max <= event.occurred_at - origin.appended_at <= rules.future_max:
        return Reason.TIME_OUT_OF_BOUNDS, _time_detail(event, origin, rules)
    # JSON can write NUL only as an escape, so nearly every record is cleared by one scan of its bytes.
    if b"\\u0000" in (origin.value or b"") and (guilty := _text_with_nul(event)) is not None:
        return Reason.TEXT, f"NUL in text - at `$.{guilty}`"
    return None


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

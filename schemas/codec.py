"""From a record's bytes to an event, or to the reason why not. Never raises for what a producer sent."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import msgspec

from schemas.content_hash import content_hash
from schemas.events import STATUSES_BY_VERB, FinanceEvent
from schemas.reasons import Reason
from schemas.records import Accepted, Judged, Origin, Rejected

# Far above any real event (about 400 bytes), far below what would crowd a batch out of memory.
RECORD_BYTES_MAX: Final = 256 * 1024
_DETAIL_CHARS_MAX: Final = 500

_decode = msgspec.json.Decoder(FinanceEvent).decode


class Rules(msgspec.Struct, frozen=True):
    """The bounds that are settings. What a lane was judged by is recorded with it, so that it can be proved later."""

    past_max: timedelta
    future_max: timedelta


def judge(origin: Origin, rules: Rules) -> Judged:
    """Decode a record of `finance-events` and check every rule that needs no database."""
    value = origin.value
    if value is None:
        return Rejected(origin, Reason.EMPTY, "the record has no value")
    if len(value) > RECORD_BYTES_MAX:
        return Rejected(origin, Reason.TOO_LARGE, f"{len(value)} bytes; at most {RECORD_BYTES_MAX} are accepted")
    try:
        event = _decode(value)
    except msgspec.ValidationError as error:
        return Rejected(origin, Reason.SCHEMA, _brief(error))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Rejected(origin, Reason.MALFORMED, _brief(error))
    broken = _broken_rule(event, origin, rules)
    if broken is not None:
        return Rejected(origin, *broken)
    key = (event.org_id, event.aggregate_type, event.aggregate_id)
    return Accepted(origin, event, key, content_hash(event))


def _brief(error: Exception) -> str:
    return str(error)[:_DETAIL_CHARS_MAX]


def _broken_rule(event: FinanceEvent, origin: Origin, rules: Rules) -> tuple[Reason, str] | None:
    for rule in (_status_rule, _time_rule, _text_rule):
        detail = rule(event, origin, rules)
        if detail is not None:
            return _REASON_OF[rule], detail
    return None


def _status_rule(event: FinanceEvent, _origin: Origin, _rules: Rules) -> str | None:
    verb = event.type.partition(".")[2]
    if event.data.status in STATUSES_BY_VERB[verb]:
        return None
    return f"type {event.type} does not agree with status {event.data.status} - at `$.data.status`"


def _time_rule(event: FinanceEvent, origin: Origin, rules: Rules) -> str | None:
    # Judged against the broker's append time, never against now(): a replay must come to the same verdict.
    distance = event.occurred_at - origin.appended_at
    if -rules.past_max <= distance <= rules.future_max:
        return None
    return (
        f"occurred_at {event.occurred_at.isoformat()} is outside {rules.past_max.days} days before to "
        f"{rules.future_max} after {origin.appended_at.isoformat()} - at `$.occurred_at`"
    )


def _text_rule(event: FinanceEvent, origin: Origin, _rules: Rules) -> str | None:
    # JSON can write NUL only as an escape, so most records are cleared by one scan of their bytes.
    if b"\\u0000" not in (origin.value or b""):
        return None
    texts = {
        "recorded_by.name": event.recorded_by.name,
        "data.category": event.data.category,
        "data.description": event.data.description,
        "data.bank_reference": event.data.bank_reference,
        "data.source": event.data.source,
    }
    guilty = [name for name, text in texts.items() if text is not None and "\x00" in text]
    return f"NUL in text - at `$.{guilty[0]}`" if guilty else None


Rule = Callable[[FinanceEvent, Origin, Rules], str | None]
_REASON_OF: Final[dict[Rule, Reason]] = {
    _status_rule: Reason.STATUS_MISMATCH,
    _time_rule: Reason.TIME_OUT_OF_BOUNDS,
    _text_rule: Reason.TEXT,
}

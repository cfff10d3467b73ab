"""What the pipeline would make of a message that is appended when its trading day is over."""

from datetime import UTC, datetime, timedelta

from pipeline.simulator.plan import Message
from schemas.codec import Rules, judge
from schemas.reasons import Reason
from schemas.records import Accepted, Origin, Rejected
from schemas.topics import FINANCE_EVENTS

APPENDED_AT = datetime(2025, 11, 22, 18, 30, tzinfo=UTC)  # midnight at the hotels, when the day is over
RULES = Rules(timedelta(days=3660), timedelta(hours=24))
# What only the books can find: alone, these records are fine.
NEED_THE_BOOKS = {Reason.VERSION_CONFLICT, Reason.CURRENCY_MISMATCH}


def judged(message: Message) -> Accepted | Rejected:
    return judge(Origin(FINANCE_EVENTS, 0, 0, APPENDED_AT, message.key, message.value, ()), RULES)


def accepted(message: Message) -> Accepted:
    verdict = judged(message)
    assert isinstance(verdict, Accepted), verdict
    return verdict

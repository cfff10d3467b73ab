"""What the pipeline would make of a message that is appended when its trading day is over."""

from datetime import UTC, datetime, timedelta

from pipeline.simulator.plan import Message
from schemas.codec import Rules, judge, judge_correction
from schemas.reasons import Reason
from schemas.records import Accepted, AcceptedCorrection, Origin, Rejected
from schemas.topics import Feed

APPENDED_AT = datetime(2025, 11, 22, 18, 30, tzinfo=UTC)  # midnight at the hotels, when the day is over
RULES = Rules(timedelta(days=3660), timedelta(hours=24))
# What only the books can find: alone, these records are fine.
NEED_THE_BOOKS = {Reason.VERSION_CONFLICT, Reason.CURRENCY_MISMATCH, Reason.CORRECTION_CONFLICT}


def judged(message: Message) -> Accepted | AcceptedCorrection | Rejected:
    origin = Origin(message.feed, 0, 0, APPENDED_AT, message.key, message.value, ())
    return judge(origin, RULES) if message.feed is Feed.EVENTS else judge_correction(origin, RULES)


def accepted(message: Message) -> Accepted:
    verdict = judged(message)
    assert isinstance(verdict, Accepted), verdict
    return verdict


def accepted_correction(message: Message) -> AcceptedCorrection:
    verdict = judged(message)
    assert isinstance(verdict, AcceptedCorrection), verdict
    return verdict

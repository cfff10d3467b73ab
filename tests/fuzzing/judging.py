"""One message before both decoders, and before the books: no crash, one verdict, everything accounted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from batchers.decide import Outcome
from pipeline.oracle import decode, decode_corrections, records
from pipeline.oracle.content_hash import content_hash, correction_hash
from schemas.codec import Rules, judge, judge_correction
from schemas.records import Accepted, AcceptedCorrection, Judged, Origin, Rejected
from schemas.topics import Feed
from tests.fuzzing.mutation import NOW, Message
from tests.support.memory_books import MemoryBooks
from tests.support.poison import RULES

_ORACLES_RULES: Final = records.Rules(0, RULES.past_max, RULES.future_max, "INR", "Asia/Kolkata", "register", 8)
ACCEPTED: Final = "accepted"


class DisagreementError(Exception):
    """The codec and the oracle say different things of one record."""


class UnaccountedError(Exception):
    """A record went into the books and no outcome counts it."""


@dataclass
class Tally:
    """What became of the messages."""

    messages: int = 0
    bytes: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)  # of the codec: accepted, or the reason
    outcomes: Counter[str] = field(default_factory=Counter)  # of the books

    def add(self, other: "Tally") -> None:
        self.messages += other.messages
        self.bytes += other.bytes
        self.verdicts.update(other.verdicts)
        self.outcomes.update(other.outcomes)


def judged_alike(message: Message, offset: int, rules: Rules = RULES) -> Judged:
    """The codec's verdict. Raises DisagreementError where the oracle has another one."""
    origin = Origin(message.feed, 0, offset, NOW, message.key, message.value, message.headers)
    found: Judged = judge(origin, rules) if message.feed is Feed.EVENTS else judge_correction(origin, rules)
    expected = _oracle(message, offset)
    if said_by(found) != expected:
        raise DisagreementError(f"codec: {said_by(found)}, oracle: {expected}: {message!r}")
    return found


def said_by(judged: Judged) -> tuple[object, ...]:
    """The reason of a refusal; of what is accepted its identity and its content, by the hash that both compute."""
    if isinstance(judged, Accepted):
        return ACCEPTED, *judged.key, judged.event.version, judged.event.event_id.bytes, judged.content_hash
    if isinstance(judged, AcceptedCorrection):
        return ACCEPTED, judged.key[0], judged.key[1].bytes, judged.content_hash
    return (judged.reason,)


def verdict_of(judged: Judged) -> str:
    return judged.reason if isinstance(judged, Rejected) else ACCEPTED


def _oracle(message: Message, offset: int) -> tuple[object, ...]:
    names, values = tuple(name for name, _ in message.headers), tuple(value for _, value in message.headers)
    record = records.Record(0, offset, NOW, message.value, names, values)
    judge_one = decode.judge if message.feed is Feed.EVENTS else decode_corrections.judge_correction
    judged = judge_one(record, _ORACLES_RULES)
    if isinstance(judged, records.Rejected):
        return (judged.reason,)
    if isinstance(judged, decode.Event):
        identity = (judged.org_id, judged.aggregate_type, judged.aggregate_id, judged.version, judged.event_id)
        return ACCEPTED, *identity, content_hash(judged)
    return ACCEPTED, judged.org_id, judged.correction_id, correction_hash(judged)


def accounted(messages: Sequence[Message]) -> Tally:
    """All of them judged, and booked as one batch. Raises DisagreementError, UnaccountedError."""
    judged = [judged_alike(message, offset) for offset, message in enumerate(messages)]
    judged.sort(key=lambda record: record.origin.topic != Feed.EVENTS)  # as a batch has them
    decisions = MemoryBooks().commit(judged)
    outcomes = Counter({str(outcome): count for of in decisions.outcomes.values() for outcome, count in of.items()})
    if outcomes.total() != len(messages):
        raise UnaccountedError(f"{len(messages)} messages, {outcomes.total()} outcomes: {dict(outcomes)}")
    refused = sum(isinstance(record, Rejected) for record in judged)
    if outcomes[Outcome.QUARANTINED] < refused:
        raise UnaccountedError(f"{refused} were refused, {outcomes[Outcome.QUARANTINED]} are quarantined")
    size = sum(len(message.value or b"") for message in messages)
    return Tally(len(messages), size, Counter(map(verdict_of, judged)), outcomes)

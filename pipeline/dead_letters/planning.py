"""Which dead letters go back to their topic: plain decisions over letters and the rules of now."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from pipeline.dead_letters.letters import Letter
from schemas.codec import Rules, judge, judge_correction
from schemas.reasons import Reason
from schemas.records import Headers, Judged, Origin, Rejected, org_of
from schemas.topics import Feed

FROM_HEADER: Final = "folio-redriven-from"
COUNT_HEADER: Final = "folio-redrive-count"
# The rules accept these records: what refused them was the books, which a second try does not change by itself.
NEEDS_THE_BOOKS: Final = frozenset(
    {
        Reason.PROPERTY_UNKNOWN,
        Reason.CURRENCY_MISMATCH,
        Reason.VERSION_CONFLICT,
        Reason.CORRECTION_CONFLICT,
        Reason.DATABASE_REJECTED,
    }
)
# A count of more digits was not written by us; int() would take its time over it.
_COUNT_DIGITS_MAX: Final = 9


class Why(StrEnum):
    """Why a letter stays."""

    OTHER_STREAM = "other_stream"
    NEEDS_BOOKS = "needs_books"
    ATTEMPTS_SPENT = "attempts_spent"
    STILL_BROKEN = "still_broken"
    BROKEN_WHEN_SENT_AGAIN = "broken_when_sent_again"
    ORG_STILL_PAUSED = "org_still_paused"


WHY_MEANING: Final[Mapping[Why, str]] = {
    Why.OTHER_STREAM: "its topic is not one that this stream consumes",
    Why.NEEDS_BOOKS: "the books refused it, not the rules: mend them, then name the reason with --reason",
    Why.ATTEMPTS_SPENT: "it was redriven --attempts-max times already",
    Why.STILL_BROKEN: "the rules of now reject it as well",
    Why.ORG_STILL_PAUSED: "its organisation is paused: `folio resume org` first",
    Why.BROKEN_WHEN_SENT_AGAIN: "accepted as of its old append time, but rejected with the one that it would get now",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """By what letters are judged. `feeds` maps topics, as they are called on this cluster, to what they carry."""

    rules: Rules
    feeds: Mapping[str, Feed]
    attempts_max: int
    named: frozenset[str] = frozenset()  # the reasons that the operator named
    paused_orgs: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Goes:
    """A letter that would be accepted now, with the headers of its new record."""

    letter: Letter
    headers: Headers


@dataclass(frozen=True, slots=True)
class Stays:
    """A letter that is left, and why."""

    letter: Letter
    why: Why
    detail: str


def plan(letters: Iterable[Letter], policy: Policy, now: datetime) -> list[Goes | Stays]:
    """What becomes of each letter, in the order given."""
    return [_decided(letter, policy, now) for letter in letters]


def _decided(letter: Letter, policy: Policy, now: datetime) -> Goes | Stays:
    feed = policy.feeds.get(letter.origin.topic)
    if feed is None:
        return Stays(letter, Why.OTHER_STREAM, f"this stream consumes {', '.join(sorted(policy.feeds))}")
    if letter.reason in NEEDS_THE_BOOKS and letter.reason not in policy.named:
        return Stays(letter, Why.NEEDS_BOOKS, "")
    attempts = redrive_count(letter.origin.headers)
    if attempts >= policy.attempts_max:
        return Stays(letter, Why.ATTEMPTS_SPENT, f"{attempts} times")
    verdict = _judged(letter.origin, feed, policy.rules)
    if isinstance(verdict, Rejected):
        return Stays(letter, Why.STILL_BROKEN, _told(verdict))
    if (org_id := org_of(verdict)) in policy.paused_orgs:
        return Stays(letter, Why.ORG_STILL_PAUSED, f"organisation {org_id}")
    # The topic stamps a new append time on the new record, and that is what the worker will judge it by.
    again = msgspec.structs.replace(letter.origin, appended_at=now)
    verdict = _judged(again, feed, policy.rules)
    if isinstance(verdict, Rejected):
        return Stays(letter, Why.BROKEN_WHEN_SENT_AGAIN, _told(verdict))
    return Goes(letter, _redriven_headers(letter, attempts + 1))


def _judged(origin: Origin, feed: Feed, rules: Rules) -> Judged:
    return judge(origin, rules) if feed is Feed.EVENTS else judge_correction(origin, rules)


def _told(rejected: Rejected) -> str:
    return f"{rejected.reason}: {rejected.detail}"


def redrive_count(headers: Headers) -> int:
    """How often a record was redriven; 0 where the header is missing, or says what we never write."""
    value = next((value for name, value in reversed(headers) if name == COUNT_HEADER), None)
    return int(value) if value is not None and value.isdigit() and len(value) <= _COUNT_DIGITS_MAX else 0


def _redriven_headers(letter: Letter, count: int) -> Headers:
    """The letter's own headers, and ours in place of those of an earlier redrive."""
    own = tuple(header for header in letter.origin.headers if header[0] not in (FROM_HEADER, COUNT_HEADER))
    return (*own, (FROM_HEADER, str(letter.place).encode()), (COUNT_HEADER, b"%d" % count))

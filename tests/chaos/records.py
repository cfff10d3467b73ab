"""What producers send while things go wrong: seeded, without end, and never all of it as it should be.

Creations, edits, moves, approvals and deletions as the benchmark makes them; between them corrections, poison from the
corpus, records on a foreign lane, neighbours in the wrong order, and other bodies under a version that was used.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Final
from uuid import UUID

from bench.generating import Generator
from bench.workload import Workload, business_day
from schemas.topics import Feed
from tests.support.events import correction, encoded
from tests.support.poison import corpus

ORGS: Final = 300
PROPERTIES_PER_ORG: Final = 2
# Nobody sends so much in one trial; the generator wants a number.
_ENDLESS: Final = 1 << 40
# Of what was sent last, from which duplicates, contradictions and reorderings are made.
_RECENT: Final = 2_000
# A broker takes a megabyte by default; what is larger never reaches the topic.
_VALUE_BYTES_MAX: Final = 900_000


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record as a producer hands it over; without a partition it goes to its key's home lane."""

    feed: Feed
    key: bytes | None
    value: bytes | None
    partition: int | None = None


class Records:
    """The records of one stream, one after the other. Bursts of a kind are cut from the same cloth."""

    def __init__(self, seed: int, lanes: int) -> None:
        self._chance = Random(f"records {seed}")
        self._lanes = lanes
        self._corrections = count(1)
        self._recent: deque[Outgoing] = deque(maxlen=_RECENT)
        self._events = Generator(_workload(seed)).events()
        self._poison = [
            poison
            for poison in corpus()
            if not poison.headers(_now()) and len(poison.value(_now()) or b"") < _VALUE_BYTES_MAX
        ]

    def __iter__(self) -> Iterator[Outgoing]:
        while True:
            yield from self._some()

    def take(self, number: int) -> list[Outgoing]:
        """The next so many sound events."""
        return [self._event() for _ in range(number)]

    # --- bursts ---

    def duplicates(self, number: int) -> list[Outgoing]:
        """What was sent a moment ago, once more."""
        return [self._chance.choice(self._recent) for _ in range(number)]

    def contradictions(self, number: int) -> list[Outgoing]:
        """New transactions, and each once more under the same version with another body."""
        burst = []
        for place in range(number):
            body = self._own_body(place)
            burst += [self._sent(body), self._sent({**body, "recorded_by": {"user_id": 9_999}})]
        return burst

    def reordered(self, number: int) -> list[Outgoing]:
        """Three versions of each of some transactions, shuffled: producers that overtake each other."""
        bodies = [self._own_body(place) for place in range(number)]
        burst = [
            self._sent(body | {"event_id": self._event_id(), "version": version, "type": f"revenue.{verb}"})
            for body in bodies
            for version, verb in ((1, "created"), (2, "updated"), (3, "updated"))
        ]
        self._chance.shuffle(burst)
        return burst

    def long_late(self, number: int, days: int) -> list[Outgoing]:
        """New transactions of so many days ago: each reaches every later day of its property."""
        at = (_now() - timedelta(days=days)).isoformat()
        return [self._sent(self._own_body(place) | {"occurred_at": at}) for place in range(number)]

    def misrouted(self, number: int) -> list[Outgoing]:
        """Sound events, each on a lane drawn by chance."""
        return [replace(event, partition=self._chance.randrange(self._lanes)) for event in self.take(number)]

    def spoiled(self, number: int, spoil: Callable[[bytes], bytes]) -> list[Outgoing]:
        """New transactions, each spoiled in the same way."""
        return [self._spoiled(self._sent(self._own_body(place)), spoil) for place in range(number)]

    # --- one by one ---

    def _some(self) -> Iterator[Outgoing]:
        drawn = self._chance.random()
        if drawn < 0.005:
            yield self._correction()
        elif drawn < 0.008:
            yield self._poisoned()
        elif drawn < 0.018:
            yield replace(self._event(), partition=self._chance.randrange(self._lanes))
        elif drawn < 0.028:
            first, second = self._event(), self._event()
            yield from (second, first)
        elif drawn < 0.031 and self._recent:
            yield self._contradiction(self._chance.choice(self._recent))
        else:
            yield self._event()

    def _event(self) -> Outgoing:
        key, value = next(self._events)
        outgoing = Outgoing(Feed.EVENTS, key, value)
        self._recent.append(outgoing)
        return outgoing

    def _contradiction(self, sent: Outgoing) -> Outgoing:
        value = sent.value or b""
        return replace(sent, value=value.replace(b'"user_id":', b'"user_id":1'))

    def _correction(self) -> Outgoing:
        org = self._chance.randint(1, ORGS)
        property_ = org * 100 + self._chance.randint(1, PROPERTIES_PER_ORG)
        id_ = next(self._corrections)
        day = business_day() - timedelta(days=self._chance.choice((0, 1, 2, 5)))
        drawn = self._chance.random()
        if drawn < 0.4:
            a, b, c, d = (self._chance.choice((0, 5_000, 70_000)) for _ in range(4))
            body = correction(id_=id_, org=org, property_=property_, day=day, figures=(a, b, c, d))
        elif drawn < 0.8:
            declared = self._chance.choice((0, 4_000, -500, None))
            body = correction(id_=id_, org=org, property_=property_, day=day, declared=declared)
        else:
            body = correction(id_=id_, org=org, property_=property_, day=day)
        # Issued now: its day is judged against the time of appending.
        return Outgoing(Feed.CORRECTIONS, b"%d" % org, encoded(body | {"issued_at": _now().isoformat()}))

    def _poisoned(self) -> Outgoing:
        poison = self._chance.choice(self._poison)
        return Outgoing(poison.feed, poison.key(), poison.value(_now()), self._chance.randrange(self._lanes))

    def _own_body(self, place: int) -> dict[str, object]:
        """A new transaction of an id that the generator will not come to."""
        org = 1 + place % ORGS
        return {
            "event_id": self._event_id(),
            "type": "revenue.created",
            "org_id": org,
            "property_id": org * 100 + 1,
            "aggregate_id": _ENDLESS + self._chance.getrandbits(40),
            "version": 1,
            "occurred_at": _now().isoformat(),
            "recorded_by": {"user_id": 7},
            "data": {"amount_cents": self._chance.randint(1, 100_000), "payment_mode": "cash", "status": "approved"},
        }

    def _event_id(self) -> str:
        return str(UUID(int=self._chance.getrandbits(128), version=4))

    def _sent(self, body: dict[str, object]) -> Outgoing:
        return Outgoing(Feed.EVENTS, str(body["org_id"]).encode(), encoded(body))

    def _spoiled(self, sent: Outgoing, spoil: Callable[[bytes], bytes]) -> Outgoing:
        spoiled = spoil(sent.value or b"")
        assert spoiled != sent.value, "what was to be spoiled was not there"
        return replace(sent, value=spoiled)


def _workload(seed: int) -> Workload:
    return Workload(
        name="chaos",
        events=_ENDLESS,
        today=business_day(),
        orgs=ORGS,
        properties_per_org=PROPERTIES_PER_ORG,
        creations_share=0.6,
        duplicate_share=0.01,
        late_days_max=60,
        open_transactions_max=5_000,
        seed=seed,
    )


def _now() -> datetime:
    return datetime.now(UTC)

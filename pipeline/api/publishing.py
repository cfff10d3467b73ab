"""From a request's body to acknowledged records: judged first as the workers judge, and sent as it came."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import msgspec

from pipeline.api.patience import Patience
from pipeline.api.sending import Sender
from pipeline.clock import Clock
from pipeline.errors import BrokerUnavailable, BulkheadFull, CircuitOpen, Transient
from pipeline.resilience.guard import Guard
from schemas.codec import Rules, judge
from schemas.reasons import Reason
from schemas.records import Accepted, Origin, Rejected
from schemas.topics import Feed

# A client that was away for a day sends what it has in a few requests; each waits for all of its acknowledgements.
EVENTS_MAX: Final = 1_000
_MANY: Final = msgspec.json.Decoder(list[msgspec.Raw])
_REFUSED_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """Why an event would be quarantined; `index` counts from 0 in what was sent."""

    index: int
    reason: Reason
    detail: str


class EventsRefused(Exception):
    """Some of the events break a rule: none was sent."""

    def __init__(self, refused: Sequence[RefusedEvent]) -> None:
        super().__init__(f"{len(refused)} of the events break a rule, and none was sent; `errors` says which and why")
        self.refused = refused[:_REFUSED_SHOWN]


class BodyRefused(Exception):
    """The body is no event and no list of events; the message says what it should be."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an event stands in the topic: acknowledged by every replica."""

    event_id: UUID
    partition: int
    offset: int


class Publishing:
    """Sends finance events to their topic."""

    def __init__(
        self, sender: Sender, guard: Guard, patience: Patience, topic: str, rules: Rules, clock: Clock
    ) -> None:
        self._sender = sender
        self._guard = guard
        self._patience = patience
        self.topic = topic
        self._rules = rules
        self._clock = clock

    def judged(self, body: bytes) -> list[Accepted]:
        """The events of a body, in their order. Raises BodyRefused, EventsRefused."""
        values = _values(body)
        now = self._clock.now()
        verdicts = [
            judge(Origin(Feed.EVENTS, 0, n, now, None, value, ()), self._rules) for n, value in enumerate(values)
        ]
        refused = [
            RefusedEvent(verdict.origin.offset, verdict.reason, verdict.detail)
            for verdict in verdicts
            if isinstance(verdict, Rejected)
        ]
        if refused:
            raise EventsRefused(refused)
        return [verdict for verdict in verdicts if isinstance(verdict, Accepted)]

    async def publish(self, events: Sequence[Accepted], gone: Callable[[], Awaitable[None]]) -> list[Placed]:
        """Send them in their order, and wait until every replica has each of them.

        A broker that is away is waited for, until `gone` returns: whoever asked has hung up. Raises BrokerUnavailable,
        or a NotAsked: some may be there then. Sending all again is harmless, for their versions tell.
        """
        records = [(str(event.event.org_id).encode(), event.origin.value) for event in events]
        placed = await self._patience.call(
            # Without the guard's retries: the patience is ours.
            lambda: self._guard.call_once(lambda: self._sender.send(self.topic, records)),
            self._is_away,
            gone,
        )
        return [Placed(event.event.event_id, at.partition, at.offset) for event, at in zip(events, placed, strict=True)]

    def end_waiting(self) -> None:
        """Whoever waits for the broker is refused, and whoever would: the process is to end."""
        self._patience.end()

    def _is_away(self, error: Transient) -> bool:
        """A broker that answers, and not all of us, refuses at once: waiting would only make the crowd larger."""
        if isinstance(error, BulkheadFull):
            return self._sender.is_silent()
        return isinstance(error, BrokerUnavailable | CircuitOpen)


def _values(body: bytes) -> list[bytes]:
    if body.lstrip()[:1] != b"[":
        return [body]
    try:
        values = [bytes(value) for value in _MANY.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BodyRefused(f"the body is neither an event nor a list of events: {error}") from error
    if not 1 <= len(values) <= EVENTS_MAX:
        raise BodyRefused(f"a list of 1 to {EVENTS_MAX:,} events is accepted, not of {len(values):,}")
    return values

"""From a source of messages to their topics, as fast as the broker takes them or at a rate, until told to stop."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

from pipeline.clock import Clock, SystemClock
from pipeline.errors import Fatal
from pipeline.simulator.day import messages, trading_day
from pipeline.simulator.plan import Message, Plan
from pipeline.simulator.sender import PATIENCE_SECONDS, Sender, end_offsets_sum
from schemas.topics import Feed

# Taken from the source at once. Enough to fill batches; few enough that the event loop gets a turn every 20 ms.
_PIECE_MESSAGES: Final = 1_000
# At a high rate messages go out in small groups, this far apart, instead of each with a sleep of its own.
_TICK_SECONDS: Final = 0.005
# Who stops the run waits no longer than this for the last acknowledgements.
_STOPPING_SECONDS: Final = 10.0

Progress = Callable[[int], None]
Topics = Mapping[Feed, str]


def topics_of(prefix: str = "") -> Topics:
    """The topics of a stream that a hotel sends to."""
    return {feed: prefix + feed for feed in Feed}


_UNPREFIXED: Final = topics_of()


@dataclass(frozen=True, slots=True)
class Produced:
    """What became of a run: messages handed to Kafka, how many it acknowledged, and those by kind."""

    sent: int
    acknowledged: int
    by_kind: dict[str, int]
    seconds: float


class Source(Protocol):
    """Where messages come from."""

    async def take(self, most: int) -> list[Message]:
        """Up to `most` messages, as soon as there are any; none at the end."""
        ...


class Generated:
    """A source of simulated messages, made when they are taken."""

    def __init__(self, stream: Iterator[Message]) -> None:
        self._stream = stream

    async def take(self, most: int) -> list[Message]:
        return list(islice(self._stream, most))


class Pace:
    """Open-loop pacing: what is due follows the clock alone, so a stall is made up for and never hidden."""

    def __init__(self, rate: float | None, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._start = clock.monotonic()

    def seconds(self) -> float:
        return self._clock.monotonic() - self._start

    def due(self, taken: int) -> int:
        """How many messages more may be taken now."""
        if self._rate is None:
            return _PIECE_MESSAGES
        return min(math.floor(self.seconds() * self._rate) + 1 - taken, _PIECE_MESSAGES)

    def wait_seconds(self, taken: int) -> float:
        """How long until the next is due, a tick at least."""
        assert self._rate is not None
        return max(taken / self._rate - self.seconds(), _TICK_SECONDS)


async def produce_day(
    bootstrap: str,
    plan: Plan,
    *,
    rate: float | None = None,
    on_progress: Progress | None = None,
    stop: asyncio.Event | None = None,
    topics: Topics = _UNPREFIXED,
) -> Produced:
    """Send the plan's day, at `rate` messages a second or as fast as it goes; every one is acknowledged on return.

    `on_progress` is told the number of acknowledged messages, many times a second. Setting `stop` ends the run
    early and in order. Raises TopicMismatch, BrokerUnavailable.
    """
    source = Generated(trading_day(plan))
    return await produce(bootstrap, source, rate=rate, on_progress=on_progress, stop=stop, topics=topics)


async def trickle(
    bootstrap: str, plan: Plan, *, rate: float, stop: asyncio.Event, topics: Topics = _UNPREFIXED
) -> Produced:
    """Send what happens now, `rate` messages a second, until `stop` is set. The plan's `events` is no bound here.

    Raises TopicMismatch, BrokerUnavailable.
    """
    return await produce(bootstrap, live(plan), rate=rate, stop=stop, topics=topics)


def live(plan: Plan, clock: Clock | None = None) -> Generated:
    """Endless messages of the plan's hotels, each of what happens when it is taken."""
    return Generated(messages(plan, _now(clock or SystemClock())))


def _now(clock: Clock) -> Iterator[int]:
    while True:
        yield int(clock.now().timestamp() * 1_000)


async def next_id_base(bootstrap: str, topics: Topics = _UNPREFIXED) -> int:
    """An `id_base` above every aggregate id of earlier runs: no run uses more ids than it sends messages.

    It counts corrections too, so that a run of which nothing else is left makes other ones than the run before.

    Runs that overlap in time may meet. Raises TopicMismatch, BrokerUnavailable.
    """
    return await end_offsets_sum(bootstrap, topics.values())


async def produce(
    bootstrap: str,
    source: Source,
    *,
    rate: float | None = None,
    on_progress: Progress | None = None,
    stop: asyncio.Event | None = None,
    topics: Topics = _UNPREFIXED,
) -> Produced:
    """Send what the source gives, in its order, until it ends or `stop` is set; then wait for acknowledgements.

    Where the source raises, what it gave before is acknowledged first. Raises TopicMismatch, BrokerUnavailable.
    """
    async with Sender(bootstrap, topics) as sender:
        pace = Pace(rate, SystemClock())
        try:
            stopped = await _until(stop or asyncio.Event(), _pump(source, sender, pace, on_progress))
        except Fatal:
            await sender.drain(PATIENCE_SECONDS)
            raise
        await sender.drain(_STOPPING_SECONDS if stopped else PATIENCE_SECONDS)
        sent = sender.sent
        if on_progress is not None:
            on_progress(sent.acknowledged)
        return Produced(sent.sent, sent.acknowledged, dict(sent.by_kind), pace.seconds())


async def _pump(source: Source, sender: Sender, pace: Pace, on_progress: Progress | None) -> None:
    taken = 0
    while True:
        due = pace.due(taken)
        if due < 1:
            await asyncio.sleep(pace.wait_seconds(taken))
            continue
        piece = await source.take(due)
        if not piece:
            return
        taken += len(piece)
        await sender.put(piece)
        await sender.flush()
        if on_progress is not None:
            on_progress(sender.sent.acknowledged)


async def _until(stop: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
    """Do the work until it is done (False) or `stop` is set (True). Raises what the work raises.

    The work is cancelled where it waits: whatever it put into the sender before is still sent, and nothing after.
    """
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.wait({working, stopping})
    if working.cancelled():
        return True
    working.result()
    return False

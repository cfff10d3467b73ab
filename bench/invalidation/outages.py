"""The cache stalls, or dies and comes back empty: how soon is everything invalidated again, and is anything stale?

The product's drain carries the rows, as in a worker; only its table is a list.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from itertools import count
from typing import Final, Protocol

from batchers.drain import Drain
from batchers.outbox import OutboxRow
from bench.invalidation.load import EPOCH, Parts, batches, parts
from pipeline.cache.balances import CachedBalance, Miss
from pipeline.errors import CacheUnavailable
from pipeline.settings import BatchSettings, RedisSettings, WorkerSettings
from pipeline.stack.config import StackConfig
from pipeline.stack.record import read
from pipeline.stack.stack import up

_BATCH_DAYS: Final = 250
_BATCHES_PER_SECOND: Final = 20
_ROWS_RELOADED: Final = 8
_POPULATION: Final = 2_000  # each day comes by every few hundred milliseconds, so that what is cached is soon old
_CAUGHT_UP_SECONDS_MAX: Final = 60.0
_DAY: Final = date(2026, 1, 31)
# A day that nobody's batch names, another one for each outage.
_in_flight: Final = count(3 * 10**9)


class Outage(Protocol):
    """Something that happens to the cache, and ends."""

    name: str

    def begin(self) -> None: ...

    def end(self) -> None: ...


@dataclass(slots=True)
class Stall:
    """The server stands still with its connections open, as on a machine that swaps."""

    config: StackConfig
    name: str = "stalled"

    def begin(self) -> None:
        os.kill(_pid(self.config), signal.SIGSTOP)

    def end(self) -> None:
        os.kill(_pid(self.config), signal.SIGCONT)


@dataclass(slots=True)
class Restart:
    """The server is killed, and comes back without a key."""

    config: StackConfig
    name: str = "killed and restarted"

    def begin(self) -> None:
        os.kill(_pid(self.config), signal.SIGKILL)

    def end(self) -> None:
        up(self.config)


def _pid(config: StackConfig) -> int:
    record = read(config.directory)
    assert record is not None
    process = record.parts["valkey"].process
    assert process is not None, "an external cache is not ours to stop"
    return process.pid


@dataclass(frozen=True, slots=True)
class Recovery:
    """What an outage cost. Of `cached` days, `stale` are older than what is committed."""

    outage: str
    outage_seconds: float
    timeout_seconds: float
    pause_max_seconds: float
    caught_up_seconds: float  # from the moment when the cache was back, until every floor was raised
    calls_failed: int
    raised_share: float  # floors raised for each floor owed: above 1 is work that was repeated
    waiting_batches_max: int
    fill_in_flight_taken: bool  # right after a stall; wrong after a loss, for what it was read before may be old
    cached: int
    stale: int


async def survive(
    url: str, outage: Outage, outage_seconds: float, redis: RedisSettings, pause_max_seconds: float
) -> Recovery:
    """Raise floors at a steady rate, let the outage happen for so long, and see how it is caught up with."""
    own = parts(url, redis.invalidation_groups_max, redis)
    carrying = _Carrying(own, pause_max_seconds)
    try:
        await _steadily(carrying, 1.0)
        miss = await own.cache.get(EPOCH, (next(_in_flight), 1), _DAY)
        assert isinstance(miss, Miss)
        with ExitStack() as mending:
            outage.begin()
            mending.callback(outage.end)  # whatever happens here: a stopped server would stay stopped
            await _steadily(carrying, outage_seconds)
            mending.pop_all()
            await asyncio.to_thread(outage.end)
        back = time.monotonic()
        carrying.look_again()
        await _steadily(carrying, 1.0)
        async with asyncio.timeout(_CAUGHT_UP_SECONDS_MAX):
            await carrying.drain.wait_until_done()
        carrying.look()
        caught_up = (carrying.level_at or time.monotonic()) - back
        taken = await own.cache.fill(miss, CachedBalance(1, b"old"))
        return Recovery(
            outage.name,
            outage_seconds,
            redis.timeout_seconds,
            pause_max_seconds,
            caught_up,
            own.timed.failed,
            own.timed.floors / carrying.owed,
            carrying.waiting_max,
            taken,
            *await _stale(own, carrying.versions),
        )
    finally:
        await carrying.stop()
        await own.close()


class _Carrying:
    """A drain that invalidates what is offered, over a table that is a list."""

    def __init__(self, own: Parts, pause_max_seconds: float) -> None:
        self.table: list[OutboxRow] = []
        self.owed = 0
        self.stopped = False
        self.waiting_max = 0
        self.level_at: float | None = None  # when the marks were first level with the table; None: look for it
        self._marks = {0: 0}
        self._source: Iterator[list[OutboxRow]] = batches(1, _BATCH_DAYS, _POPULATION)
        self.versions: dict[tuple[int, int], int] = {}  # as committed
        self.drain = Drain(
            "invalidate",
            own.invalidator.invalidate,
            self._reload,
            self._marks,
            {0: 0},
            waiting_max=BatchSettings().unpublished_batches_max,
            pause_max_seconds=pause_max_seconds,
        )
        self._running = [asyncio.ensure_future(self.drain.run()), asyncio.ensure_future(_read_and_fill(own, self))]

    def offer(self) -> None:
        rows = next(self._source)
        for row in rows:
            for update, _line in row.updates:
                self.versions[update.org_id, update.property_id] = update.version
        self.table += rows
        self.owed += _BATCH_DAYS
        self.drain.offer(rows)

    def look(self) -> None:
        self.waiting_max = max(self.waiting_max, len(self.table) - self._marks[0])
        if self.level_at is None and self._marks[0] == len(self.table):
            self.level_at = time.monotonic()

    def look_again(self) -> None:
        """For the next moment when they are level."""
        self.level_at = None

    async def stop(self) -> None:
        """The reader ends by itself: the client has been seen to keep a cancellation for itself."""
        self.stopped = True
        self._running[0].cancel()
        await asyncio.wait(self._running)

    async def _reload(self, _lane: int, after: int, _bytes_max: int) -> list[OutboxRow]:
        return self.table[after : after + _ROWS_RELOADED]


async def _steadily(carrying: _Carrying, seconds: float) -> None:
    """Offer batches by the clock, as commits go on whatever the cache does."""
    started, offered = time.monotonic(), 0
    while (now := time.monotonic() - started) < seconds:
        if offered <= now * _BATCHES_PER_SECOND:
            carrying.offer()
            offered += 1
        await asyncio.sleep(0.005)
        carrying.look()


async def _read_and_fill(own: Parts, carrying: _Carrying) -> None:
    """Readers, whatever the cache does: what they find missing they fill with what is committed by then."""
    for number in count():
        if carrying.stopped:
            return
        keys = list(carrying.versions)
        try:
            if keys:
                key = keys[number * 7 % len(keys)]
                found = await own.cache.get(EPOCH, key, _DAY)
                if isinstance(found, Miss):
                    await own.cache.fill(found, CachedBalance(carrying.versions[key], b"x"))
        except CacheUnavailable:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.001)


async def _stale(own: Parts, versions: Mapping[tuple[int, int], int]) -> tuple[int, int]:
    """How many of the days are cached, and how many of these are older than what is committed."""
    cached = stale = 0
    for key, version in versions.items():
        found = await own.cache.get(EPOCH, key, _DAY)
        if not isinstance(found, Miss):
            cached += 1
            stale += found.version < version
    return cached, stale


DEFAULT_PAUSE_MAX_SECONDS: Final = WorkerSettings().backoff_max_seconds

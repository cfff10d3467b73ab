"""The task that purges: what has changed, in the order in which it changed, as fast as the CDN takes it."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from datetime import date
from typing import Final, Protocol

import structlog

from pipeline.cache.tags import tags_touched
from pipeline.cdn.metrics import CdnMetrics
from pipeline.cdn.queue import Due, PurgeQueue
from pipeline.clock import Clock
from pipeline.errors import NotAsked, Transient
from schemas.records import PropertyKey

# How long the end waits for a CDN that may be away; what it does not take is kept there for its life.
_LAST_SECONDS: Final = 2.0
_PAUSE_SECONDS_MAX: Final = 5.0

log = structlog.get_logger()


class Client(Protocol):
    """The CDN."""

    async def purge(self, tags: Sequence[str]) -> None:
        """Raises CdnUnavailable."""
        ...

    async def close(self) -> None: ...


class Gate(Protocol):
    """What stands before the CDN (pipeline.resilience)."""

    async def call(self, work: Callable[[], Awaitable[None]]) -> None: ...


class Purges:
    """Takes changes without waiting and purges them while `running`; nothing that becomes of it reaches who told it.

    One request at a time: a CDN is asked some ten times a second, and answers in tens of milliseconds.
    """

    def __init__(
        self, client: Client, gate: Gate, queue: PurgeQueue, clock: Clock, metrics: CdnMetrics, request_tags_max: int
    ) -> None:
        self._client = client
        self._gate = gate
        self._queue = queue
        self._clock = clock
        self._metrics = metrics
        self._request_tags_max = request_tags_max
        self._heard = asyncio.Event()
        self._failures = 0
        self._asked_for = 0  # tags of the request that is under way
        metrics.queue.set_function(lambda: self.waiting)

    @property
    def waiting(self) -> int:
        """Tags that are not purged yet, or not for the second time."""
        return len(self._queue) + self._asked_for

    def changed(self, days: Mapping[PropertyKey, Collection[date]]) -> None:
        """What is kept about these days is to be purged."""
        self._count("lost", self._queue.add(tags_touched(days), self._clock.monotonic()))
        self._heard.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Purge until the block ends; where it ends in order, what waits by then has two more seconds."""
        purging = asyncio.create_task(self._run(), name="cdn purges")
        try:
            yield
            await self._finish()
        finally:
            purging.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await purging
            await self._client.close()

    async def _run(self) -> None:
        while True:
            self._heard.clear()
            seconds = self._queue.seconds_until_due(self._clock.monotonic())
            if seconds == 0:
                await self._purge()
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._heard.wait()

    async def _finish(self) -> None:
        """Nobody may come after us who knows what waits."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                while self.waiting:
                    self._queue.hasten(self._clock.monotonic())
                    self._heard.set()
                    await asyncio.sleep(0.01)

    async def _purge(self) -> None:
        """One request; after one that failed, a pause."""
        due = self._queue.take(self._clock.monotonic(), self._request_tags_max)
        self._asked_for = len(due)
        try:
            await self._gate.call(lambda: self._client.purge([tag for tag, _ in due]))
        except Transient as error:
            self._failed(due, error)
            await asyncio.sleep(self._pause_seconds())
        else:
            self._succeeded(due)

    def _succeeded(self, due: Sequence[Due]) -> None:
        now = self._clock.monotonic()
        self._asked_for = 0
        self._queue.purged(due, now)
        self._metrics.purges.labels("purged").inc()
        for _, changed_at in due:
            self._count("again" if changed_at is None else "purged", 1)
            if changed_at is not None:
                self._metrics.seconds.observe(now - changed_at)
        if self._failures:
            log.info("the CDN purges again", failures=self._failures, waiting=self.waiting)
        self._failures = 0

    def _failed(self, due: Sequence[Due], error: Transient) -> None:
        now = self._clock.monotonic()
        self._asked_for = 0
        self._metrics.purges.labels("refused" if isinstance(error, NotAsked) else "failed").inc()
        self._count("lost", self._queue.put_back(due, now))
        self._count("outlived", self._queue.forget_outlived(now))
        self._failures += 1
        if self._failures == 1:
            log.warning("the CDN does not purge, what it keeps lives until its end", error=str(error))

    def _pause_seconds(self) -> float:
        longest = min(0.1 * float(1 << min(self._failures, 10)), _PAUSE_SECONDS_MAX)
        return longest * random.uniform(0.5, 1)  # noqa: S311 - jitter, no secret

    def _count(self, outcome: str, tags: int) -> None:
        if tags:
            self._metrics.tags.labels(outcome).inc(tags)

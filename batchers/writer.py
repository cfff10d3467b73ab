"""The writer: batch after batch into the books, and then to everyone who waits for them."""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

import stamina
import structlog

from batchers.books import Books, Committed
from batchers.breaker import PoisonBreaker
from batchers.decide import Outcome
from batchers.drain import Drain
from batchers.gate import Gate, pause_after
from batchers.gathering import Gathering
from batchers.halving import halves, quarantined
from batchers.tracing import batch_known, outcomes_known, step_known
from pipeline.errors import BatchRejected, BatchTooSlow, DatabaseUnavailable, NotAsked, OutcomeUnknown
from pipeline.metrics import Metrics
from schemas.lanes import Batch
from schemas.topics import Feed

# Without a batch for so long, the marks go to the database on their own.
_IDLE_SECONDS = 0.5
# How long the end waits for a cache that may be lost.
_LAST_INVALIDATION_SECONDS = 2.0

log = structlog.get_logger()


class Writer:
    """Owns some lanes for as long as their claims hold."""

    def __init__(
        self,
        gathering: Gathering,
        books: Books,
        database: Gate,
        publisher: Drain,
        invalidator: Drain,
        epochs: Mapping[int, int],
        breaker: PoisonBreaker,
        metrics: Metrics,
        *,
        pause_max_seconds: float,
    ) -> None:
        self.gathering = gathering
        self.positions: dict[tuple[int, Feed], int] = {}  # by lane and feed the next offset, as committed
        self._writing: Batch | None = None
        self._books = books
        self._database = database
        self._publisher = publisher
        self._invalidator = invalidator
        self._epochs = epochs
        self._breaker = breaker
        self._metrics = metrics
        self._pause_max_seconds = pause_max_seconds

    def oldest_waiting(self, lane: int, feed: Feed) -> datetime | None:
        """The append time of the oldest record of a feed that we hold and have not committed."""
        for slice_ in self._writing.slices if self._writing is not None else ():
            position = self.positions.get((lane, feed), slice_.start)
            if (slice_.lane, slice_.feed) == (lane, feed) and position < slice_.end:
                # A batch that was halved is committed in part.
                return next(record.origin.appended_at for record in slice_.records if record.origin.offset >= position)
        return self.gathering.oldest(lane, feed)

    async def run(self) -> None:
        """Write what gathers until it is closed and empty. Raises FenceLost when a lane is no longer ours."""
        while not self.gathering.drained:
            batch = await self.gathering.take(_IDLE_SECONDS)
            if batch is not None:
                self._writing = batch
                await self.write(batch)
                self._writing = None
            else:
                await self.save_marks()

    async def write(self, batch: Batch) -> None:
        """Make a batch durable, then visible, then forgettable, in that order.

        A crash between two steps repeats the rest from the outbox; subscribers drop what they have by version.
        """
        with batch_known(batch) as span:
            committed = await self._commit(batch)
            if not isinstance(committed, Committed):
                for part in committed:
                    await self.write(part)
                return
            outcomes_known(span, committed.outcomes)
            self._publisher.offer(committed.outbox)
            self._invalidator.offer(committed.outbox)
        self.positions.update(committed.positions)
        await self._breaker.observe(batch, committed.outbox)
        # Publishing holds the stream back when it cannot keep up; a lost cache holds back nothing.
        await self._publisher.wait_for_room()

    async def finish(self) -> None:
        """After the last batch: let everyone hear of it, and remember that they did."""
        await self._publisher.wait_until_done()
        # Nobody may come after us: what readers have cached would then be wrong for as long as it lives.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_INVALIDATION_SECONDS):
                await self._invalidator.wait_until_done()
        await self.save_marks()

    async def save_marks(self) -> None:
        """Bring the marks to the database; they are a saving of work, so a failure is only told.

        Raises FenceLost when another primary has taken over.
        """
        if not self._books.owes_marks(self._epochs):  # or an idle writer's doing nothing would count as an answer
            return
        try:
            await self._database.call_once(partial(self._books.save_marks, self._epochs))
        except (DatabaseUnavailable, OutcomeUnknown, NotAsked) as error:
            log.warning("marks not saved, the next owner repeats some updates", error=str(error))

    async def _commit(self, batch: Batch) -> Committed | Sequence[Batch]:
        """Where the database will not take the batch, those to write in its stead: its halves, or its dead letter."""
        try:
            return await self._commit_patiently(batch)
        except BatchTooSlow as error:
            if batch.rows == 1:
                raise
            log.warning("batch took too long, halving it", rows=batch.rows, error=str(error))
        except BatchRejected as error:
            # What the database says may repeat the row: the dead letter keeps it, the log has its class alone.
            refusal = type(error.__cause__).__name__
            if batch.rows == 1:
                log.warning("record rejected by the database, quarantined", refusal=refusal)
                return [quarantined(batch, str(error))]
            log.warning("batch rejected by the database, halving it", rows=batch.rows, refusal=refusal)
        return halves(batch)

    async def _commit_patiently(self, batch: Batch) -> Committed:
        """Try the same batch again until the database answers. The fence tells whether an attempt went in.

        The gate makes none of its own: what became of one whose COMMIT was lost is found out by the next one here.
        """
        # A number, not the batch: the library's retry objects form cycles, and would keep it until the collector comes.
        retries = stamina.retry_context(
            on=partial(_worth_retrying, batch.rows), attempts=None, timeout=None, wait_max=self._pause_max_seconds
        ).with_name("commit", (), {})
        with step_known("commit") as span:
            async for attempt in retries:
                with attempt, self._metrics.attempted("commit"):
                    started = time.perf_counter()
                    committed = await self._database.call_once(partial(self._books.commit, batch))
                    if attempt.num > 1:
                        log.info("the database is back", attempts=attempt.num)
            span.set_attribute("folio.attempts", attempt.num)
        seconds = time.perf_counter() - started
        self._metrics.committed(batch.rows, committed.outcomes.items(), seconds)
        log.debug("batch committed", rows=batch.rows, seconds=round(seconds, 4), **_named(committed.outcomes))
        return committed


def _named(outcomes: Mapping[Outcome, int]) -> dict[str, int]:
    """For the log: what became of the records, without what did not occur."""
    return {outcome.value: count for outcome, count in outcomes.items() if count}


def _worth_retrying(rows: int, error: Exception) -> float | bool:
    """Whether to try the same batch again, or when. One that was too slow should not be, while it can be halved."""
    if isinstance(error, NotAsked):
        return pause_after(error)
    if isinstance(error, BatchTooSlow):
        return rows == 1
    return isinstance(error, DatabaseUnavailable | OutcomeUnknown)

"""The producer of a server that outlives its broker: made anew when it is not to be had, or has died."""

import asyncio
import math
from contextlib import suppress
from typing import Any, Final

import structlog
from aiokafka.structs import RecordMetadata

from pipeline.broker import servers_of
from pipeline.clock import Clock
from pipeline.errors import BrokerUnavailable
from pipeline.producer import Producer, new_producer
from pipeline.translate import broker_errors

log = structlog.get_logger()

_PAUSE_SECONDS: Final = (0.2, 0.5, 1.0, 2.0)
# Of one request, which somebody waits for: an election of leaders takes less. The client itself waits for 20 s.
ANSWER_SECONDS: Final = 5.0
# The client's idempotent producer does not always recover by itself; a new one costs a connection.
_GIVE_UP_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 1.0
# A broker that answers acknowledges something many times a second, however many wait for it.
_SILENT_SECONDS: Final = 1.0


class Sender:
    """Sends records, while there is a broker; `run` looks after that."""

    def __init__(self, bootstrap: str, clock: Clock) -> None:
        self._bootstrap = bootstrap
        self._clock = clock
        self._producer: Producer | None = None
        self._given_up = asyncio.Event()  # of the producer at hand
        self._met = asyncio.Event()  # a broker, once
        self._failing_since: float | None = None
        self._acknowledged_at = -math.inf

    async def send(self, topic: str, records: list[tuple[bytes, bytes | None]]) -> list[RecordMetadata]:
        """Keys and values in their order, acknowledged by every replica. Raises BrokerUnavailable, in a few seconds.

        What was not acknowledged by then may arrive later.
        """
        producer, given_up = self._producer, self._given_up
        if producer is None:
            raise BrokerUnavailable(f"sending to {topic}: {servers_of(self._bootstrap)} has not answered yet")
        try:
            with broker_errors(f"sending to {topic}"):
                async with asyncio.timeout(ANSWER_SECONDS):
                    # One after the other into the client's buffer, so that each key keeps its order; acknowledged
                    # together.
                    waits = [await producer.send(topic, value, key=key) for key, value in records]
                    placed = await _unless(given_up, asyncio.gather(*waits))
        except BrokerUnavailable:
            if self._failing_since is None:
                self._failing_since = self._clock.monotonic()
            raise
        self._failing_since, self._acknowledged_at = None, self._clock.monotonic()
        return placed

    def is_silent(self) -> bool:
        """Whether nothing was acknowledged for a while: it is away, or nobody has sent anything."""
        return self._clock.monotonic() - self._acknowledged_at >= _SILENT_SECONDS

    async def wait_until_ready(self, seconds: float) -> bool:
        """Whether a broker has answered within so many seconds: the first events are to be taken too."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._met.wait()
        return self._met.is_set()

    async def ask_broker(self) -> None:
        """Have a broker say which servers and topics there are, now. Raises BrokerUnavailable where none does."""
        servers, producer = servers_of(self._bootstrap), self._producer
        with broker_errors(f"asking {servers}"):
            answered = producer is not None and await producer.client.force_metadata_update()
        if not answered:
            raise BrokerUnavailable(f"{servers} does not answer")

    async def run(self) -> None:
        """Until it is cancelled."""
        failures = 0
        while True:
            producer = new_producer(self._bootstrap, "folio-serve")
            try:
                with broker_errors(f"connecting to {servers_of(self._bootstrap)}"):
                    await producer.start()
                failures, self._failing_since = 0, None
                self._producer, self._given_up = producer, asyncio.Event()
                self._met.set()
                await self._until_it_has_died()
            except BrokerUnavailable as error:
                if not failures:
                    log.warning("no events can be published", error=str(error))
                await asyncio.sleep(_PAUSE_SECONDS[min(failures, len(_PAUSE_SECONDS) - 1)])
                failures += 1
            finally:
                self._producer = None
                await producer.abandon()
                self._given_up.set()

    async def _until_it_has_died(self) -> None:
        """Nothing was acknowledged for so long."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            since = self._failing_since
            if since is not None and self._clock.monotonic() - since >= _GIVE_UP_SECONDS:
                log.warning("nothing was acknowledged, a new producer follows", seconds=_GIVE_UP_SECONDS)
                return


async def _unless(given_up: asyncio.Event, acknowledged: asyncio.Future[list[RecordMetadata]]) -> list[RecordMetadata]:
    """What was acknowledged. A client that was abandoned tells nobody who waits for it: they would wait for ever."""
    ended = asyncio.ensure_future(given_up.wait())
    either: list[asyncio.Future[Any]] = [acknowledged, ended]
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not acknowledged.done():
            raise ConnectionAbortedError("its producer was given up; it may have been delivered")
        return acknowledged.result()
    finally:
        ended.cancel()
        acknowledged.cancel()

"""Following realtime updates as they come: in no group, committing nothing, the place kept by the client itself."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError, OffsetOutOfRangeError

from pipeline.broker import servers_of
from pipeline.clock import Clock, SystemClock
from pipeline.errors import BrokerUnavailable, OffsetExpired, SettingsRefused
from pipeline.onlooker import new_onlooker
from pipeline.topics import partition_counts
from pipeline.translate import broker_errors
from schemas.routing import home_lane
from schemas.updates import BalanceUpdate, EncodedUpdate

# As long as nothing comes, the client waits so long in a call; what comes is handed over at once.
_POLL_MS: Final = 250
_RECORDS_OF_POLL: Final = 1_000
# The client says nothing about a broker that is away, so that after this silence we ask for ourselves.
_ASK_AFTER_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 3.0
# Five digits each: about 270 years at most, so that no arithmetic of dates overflows.
_DURATION: Final = re.compile(r"(?:(\d{1,5})d)?(?:(\d{1,5})h)?(?:(\d{1,5})m)?(?:(\d{1,5})s)?")

Start = datetime | Literal["beginning", "end"]
Say = Callable[[str], None]
_decode: Final = msgspec.json.Decoder(BalanceUpdate).decode


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which updates are asked for; what is empty or None does not restrict."""

    orgs: frozenset[int] = frozenset()
    property_id: int | None = None
    balance_date: date | None = None

    def includes(self, update: BalanceUpdate) -> bool:
        return (
            (not self.orgs or update.org_id in self.orgs)
            and self.property_id in {None, update.property_id}
            and self.balance_date in {None, update.balance_date}
        )

    def partitions(self, count: int) -> list[int]:
        """Those of a topic's partitions where such updates are: an organisation's are in its home partition alone."""
        return sorted({home_lane(org, count) for org in self.orgs}) if self.orgs else list(range(count))


@dataclass(frozen=True, slots=True)
class Bounds:
    """When to end by itself: after so many updates, after such a silence. None: never."""

    updates_max: int | None = None
    idle_seconds: float | None = None


def parse_since(text: str, now: datetime) -> datetime:
    """The instant that `--since` means: a duration before `now` such as 90s, 10m or 1d12h, or an ISO 8601 instant.

    Raises SettingsRefused for anything else, and for an instant without its offset from UTC.
    """
    duration = _DURATION.fullmatch(text)
    if duration is not None and text:
        days, hours, minutes, seconds = (int(part or 0) for part in duration.groups())
        return now - timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise SettingsRefused(
            f"--since {text!r}: a duration such as 90s, 10m or 1d12h is accepted, "
            "or an instant such as 2026-03-10T12:00:00Z, with its offset from UTC"
        )
    return instant


class Follower:
    """Reads the partitions that a consumer was given, from where it stands, and picks what is wanted."""

    def __init__(
        self, consumer: AIOKafkaConsumer, wanted: Wanted, bounds: Bounds, say: Say, clock: Clock | None = None
    ) -> None:
        self._consumer = consumer
        self._wanted = wanted
        self._bounds = bounds
        self._say = say
        self._clock = clock or SystemClock()
        self._heard_at = self._clock.monotonic()
        self._away: str | None = None

    async def updates(self) -> AsyncIterator[Sequence[EncodedUpdate]]:
        """What is wanted, as it comes, in the order of each partition; ends at a bound.

        While the broker is away it says so once and waits. Raises BrokerUnavailable when the allowed silence ends
        meanwhile, since nobody knows then whether it was one, and OffsetExpired when updates left before their turn.
        """
        left, quiet_since = self._bounds.updates_max, self._clock.monotonic()
        while left is None or left > 0:
            found = self._pick(await self._poll())[:left]
            if found:
                yield found
                left = None if left is None else left - len(found)
                quiet_since = self._clock.monotonic()
            elif self._is_long(self._clock.monotonic() - quiet_since):
                await self._ask()
                if self._away is not None:
                    raise BrokerUnavailable(f"following updates: {self._away}")
                return

    def _is_long(self, silence: float) -> bool:
        return self._bounds.idle_seconds is not None and silence >= self._bounds.idle_seconds

    async def _poll(self) -> list[Any]:
        try:
            batches = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_RECORDS_OF_POLL)
        except OffsetOutOfRangeError as error:
            raise OffsetExpired(f"updates left the topic before they were read: {error}; start again") from error
        except (KafkaError, OSError) as error:
            self._missed(error)
            await asyncio.sleep(_POLL_MS / 1000)
            return []
        if batches:
            self._heard()
        elif self._clock.monotonic() - self._heard_at >= _ASK_AFTER_SECONDS:
            await self._ask()
        return [record for batch in batches.values() for record in batch]

    async def _ask(self) -> None:
        try:
            await asyncio.wait_for(self._consumer.end_offsets(list(self._consumer.assignment())), _ANSWER_SECONDS)
        except (KafkaError, OSError, TimeoutError) as error:
            self._missed(error)
        else:
            self._heard()

    def _heard(self) -> None:
        self._heard_at = self._clock.monotonic()
        if self._away is not None:
            self._away = None
            self._say("the broker is back")

    def _missed(self, error: Exception) -> None:
        timed_out = isinstance(error, KafkaTimeoutError)  # which the client counts among what cannot be tried again
        if isinstance(error, KafkaError) and not error.retriable and not timed_out:  # a missing right, say
            raise BrokerUnavailable(f"following updates: {type(error).__name__}: {error}") from error
        if self._away is None:
            self._away = f"the broker does not answer: {type(error).__name__}"
            self._say(f"{self._away}; waiting for it")

    def _pick(self, records: Sequence[Any]) -> list[EncodedUpdate]:
        found = []
        for record in records:
            try:
                update = _decode(record.value or b"")
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self._say(f"passed over partition {record.partition}, offset {record.offset}: no update: {error}")
                continue
            if self._wanted.includes(update):
                found.append(EncodedUpdate(update, record.value))
        return found


@asynccontextmanager
async def placed_consumer(bootstrap: str, topic: str, wanted: Wanted, start: Start) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of the partitions where the wanted updates are, standing at `start`.

    Raises TopicMismatch where there is no such topic, BrokerUnavailable.
    """
    counts = await partition_counts(bootstrap, [topic])
    partitions = [TopicPartition(topic, number) for number in wanted.partitions(counts[topic])]
    consumer = new_onlooker(bootstrap, "folio-tail")
    try:
        with broker_errors(f"following {topic} at {servers_of(bootstrap)}"):
            await consumer.start()
            consumer.assign(partitions)
            for partition, offset in (await _offsets(consumer, partitions, start)).items():
                consumer.seek(partition, offset)
        yield consumer
    finally:
        await consumer.stop()


async def _offsets(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition], start: Start
) -> dict[TopicPartition, int]:
    if start == "beginning":
        return dict(await consumer.beginning_offsets(partitions))
    ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    if start == "end":
        return ends
    assert isinstance(start, datetime)
    since_ms = max(0, int(start.timestamp() * 1000))  # negative ones mean something else to the broker
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
    # None: nothing is as late as that yet.
    return {each: ends[each] if found[each] is None else found[each].offset for each in partitions}

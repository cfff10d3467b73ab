"""The product's own way from the topic to batches: its consumer, its fetching and judging, its gathering."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from batchers.gathering import Gathering
from consumers.claiming import Claimant, TopicRange, claim_lanes, start_position
from consumers.client import new_consumer
from consumers.fetching import Fetching, Receiver
from consumers.lane import FetchedLane
from pipeline.app import bounds
from pipeline.clock import SystemClock
from pipeline.endpoints import resolve
from pipeline.errors import Fatal
from pipeline.recorded_rules import recorded_rules
from pipeline.settings import Settings
from pipeline.storage.connect import briefly, connect_worker
from schemas.codec import Rules
from schemas.lanes import Batch, Claim
from schemas.records import Judged
from schemas.topics import Feed

NAME: Final = "folio-bench-limit"
_LONG_SECONDS: Final = 3_600.0  # no batch is cut before it is full: so it is cut at a backlog


@dataclass(frozen=True, slots=True)
class Source:
    """Claimed lanes of the topic, and a consumer that has fetched nothing yet."""

    settings: Settings
    consumer: AIOKafkaConsumer
    claims: list[Claim]
    held: dict[int, TopicRange]  # what the broker has of each lane's events


@asynccontextmanager
async def source(settings: Settings, lanes: Sequence[int]) -> AsyncIterator[Source]:
    """Claim these lanes, as a worker that was assigned them does."""
    endpoints = resolve(settings)
    consumer = new_consumer(endpoints.kafka_bootstrap, settings.kafka, NAME)
    await consumer.start()
    try:
        topics = {feed: settings.kafka.topic_prefix + feed for feed in Feed}
        rules, months = recorded_rules(settings.rules), settings.batch.retention_months
        claimant = Claimant(NAME, topics, settings.kafka.lanes, rules, months)
        connecting = connect_worker(endpoints.database_url, settings.database, NAME)
        async with briefly(connecting, "claiming lanes") as connection:
            claims = [each.claim for each in await claim_lanes(connection, claimant, lanes)]
        partitions = [TopicPartition(topics[Feed.EVENTS], lane) for lane in lanes]
        beginnings, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        held = {each.partition: TopicRange(beginnings[each], ends[each]) for each in partitions}
        yield Source(settings, consumer, claims, held)
    finally:
        await consumer.stop()


async def fetch_all(fetched: Source, receiving: Callable[[Callable[[], bool]], "Receives"]) -> int:
    """Fetch and judge every event of the lanes, and hand them on; how many there were."""
    topic = fetched.settings.kafka.topic_prefix + Feed.EVENTS
    lanes = {
        TopicPartition(topic, claim.lane): FetchedLane(
            Feed.EVENTS,
            topic,
            claim,
            start_position(topic, claim.standings[Feed.EVENTS], fetched.held[claim.lane]),
        )
        for claim in fetched.claims
    }
    receiver = receiving(lambda: all(lane.position >= fetched.held[lane.lane].end for lane in lanes.values()))
    fetched.consumer.assign(list(lanes))
    for partition, lane in lanes.items():
        fetched.consumer.seek(partition, lane.position)
    rules = recorded_rules(fetched.settings.rules)
    fetching = Fetching(
        fetched.consumer, lanes, Rules(past_max=rules.past_max, future_max=rules.future_max), receiver, _refuse
    )
    running = asyncio.create_task(fetching.run())
    finished = asyncio.create_task(receiver.done.wait())
    await asyncio.wait((running, finished), return_when=asyncio.FIRST_COMPLETED)
    for task in (running, finished):
        task.cancel()
    outcomes = await asyncio.gather(running, finished, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return receiver.records


async def _refuse(_claim: Claim, error: Fatal) -> None:
    raise error


class Receives(Receiver):
    """Counts what comes, and drops it."""

    def __init__(self, finished: Callable[[], bool]) -> None:
        self.records = 0
        self.done = asyncio.Event()
        self._finished = finished

    def add(self, lane: int, feed: Feed, records: Sequence[Judged]) -> None:  # noqa: ARG002 - the product's own call
        self.records += len(records)
        if self._finished():
            self.done.set()

    def full(self, lane: int) -> bool:  # noqa: ARG002
        return False

    def roomy(self, lane: int) -> bool:  # noqa: ARG002
        return True


class Gathers(Receives):
    """Hands what comes to the gathering of the lane's writer."""

    def __init__(self, finished: Callable[[], bool], gathering_of: dict[int, Gathering]) -> None:
        super().__init__(finished)
        self._gathering_of = gathering_of

    def add(self, lane: int, feed: Feed, records: Sequence[Judged]) -> None:
        self._gathering_of[lane].add(lane, feed, records)
        super().add(lane, feed, records)

    def full(self, lane: int) -> bool:
        return self._gathering_of[lane].full

    def roomy(self, lane: int) -> bool:
        return self._gathering_of[lane].roomy


async def record(fetched: Source, groups: Sequence[Sequence[int]]) -> list[list[Batch]]:
    """By group of lanes that share a writer, the batches that the product cuts of them at a backlog."""
    # A lane that was claimed and never consumed stands nowhere: the first record says where it begins.
    cutting = replace(bounds(fetched.settings.batch), linger_seconds=_LONG_SECONDS)
    gatherings = [Gathering(cutting, SystemClock()) for _ in groups]
    gathering_of = {lane: gathering for group, gathering in zip(groups, gatherings, strict=True) for lane in group}
    for claim in fetched.claims:
        gathering_of[claim.lane].open_lane(claim)
    taking = [asyncio.create_task(_take_all(gathering)) for gathering in gatherings]
    await fetch_all(fetched, lambda finished: Gathers(finished, gathering_of))
    for gathering in gatherings:
        gathering.close()
    return list(await asyncio.gather(*taking))


async def _take_all(gathering: Gathering) -> list[Batch]:
    batches = []
    while not gathering.drained:
        batch = await gathering.take(_LONG_SECONDS)
        if batch is not None:
            batches.append(batch)
    return batches

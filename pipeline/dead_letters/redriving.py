"""Sending dead letters back: page by page, each page remembered as soon as the broker has acknowledged it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from pipeline.dead_letters.letters import Filters, Letter, Place, next_to_redrive, remember_redriven
from pipeline.dead_letters.planning import Goes, Policy, Stays, plan
from pipeline.errors import BrokerUnavailable
from pipeline.translate import database_errors

# What a run that is killed may send twice, and what it holds in memory: a page, and 4 MiB of records or one record.
PAGE_ROWS_MAX: Final = 100
PAGE_BYTES_MAX: Final = 4 << 20
_ADVISORY_LOCK: Final = 0x5245445249  # "REDRI": one run at a time, or two would send the same letters
_BEFORE_ALL: Final = Place("", 0, 0)

TallyKey = tuple[str, str]  # the letter's reason; why it stays, or "" where it goes


@dataclass(slots=True)
class Counted:
    """Letters with one reason and one fate, and the first of them as an example."""

    letters: int
    example: Place
    detail: str


@dataclass(slots=True)
class Tally:
    """What became of the letters, or would."""

    counted: dict[TallyKey, Counted] = field(default_factory=dict)
    stopped_at_max: bool = False

    @property
    def going(self) -> int:
        return sum(counted.letters for (_, why), counted in self.counted.items() if not why)

    @property
    def staying(self) -> int:
        return sum(counted.letters for (_, why), counted in self.counted.items() if why)

    def add(self, decided: Goes | Stays) -> None:
        letter = decided.letter
        why, detail = (decided.why.value, decided.detail) if isinstance(decided, Stays) else ("", "")
        counted = self.counted.setdefault((letter.reason, why), Counted(0, letter.place, detail))
        counted.letters += 1


async def would_redrive(
    connection: asyncpg.Connection, filters: Filters, policy: Policy, letters_max: int | None
) -> Tally:
    """What `redrive` would do now. Changes nothing."""
    tally = Tally()
    async for page in _pages(connection, filters):
        for decided in _within(plan(page, policy, datetime.now(UTC)), tally, letters_max):
            tally.add(decided)
        if tally.stopped_at_max:
            break
    return tally


async def redrive(
    connection: asyncpg.Connection,
    producer: AIOKafkaProducer,
    filters: Filters,
    policy: Policy,
    letters_max: int | None,
    who: str,
    tally: Tally,
) -> None:
    """Send back what the policy lets go, in the order of the topics; `tally` says how far it came, whatever happens.

    Raises BrokerUnavailable for the first page that was not wholly acknowledged; what was is remembered.
    """
    # What fails again during the run is a letter again, behind where we read: it must wait for another run.
    ends: dict[tuple[str, int], int] = {}
    async for page in _pages(connection, filters):
        older = [letter for letter in page if letter.origin.offset < ends.get(_lane(letter.place), 1 << 63)]
        decided = _within(plan(older, policy, datetime.now(UTC)), tally, letters_max)
        going = [each for each in decided if isinstance(each, Goes)]
        answers = await _send(producer, going)
        sent = [(each, place) for each, place in zip(going, answers, strict=True) if isinstance(place, Place)]
        await remember_redriven(connection, who, [(each.letter.place, place) for each, place in sent])
        for _, place in sent:
            ends[_lane(place)] = min(ends.get(_lane(place), place.offset), place.offset)
        failed = {each.letter.place for each in going} - {each.letter.place for each, _ in sent}
        for counted in decided:
            if counted.letter.place not in failed:
                tally.add(counted)
        _require_all_sent(going, answers)
        if tally.stopped_at_max:
            break


def _lane(place: Place) -> tuple[str, int]:
    return place.topic, place.lane


async def _pages(connection: asyncpg.Connection, filters: Filters) -> AsyncIterator[list[Letter]]:
    after = _BEFORE_ALL
    while page := await next_to_redrive(connection, filters, after, PAGE_ROWS_MAX, PAGE_BYTES_MAX):
        yield page
        after = page[-1].place


def _within(decided: Sequence[Goes | Stays], tally: Tally, letters_max: int | None) -> list[Goes | Stays]:
    """The letters up to the last one that may still go; the tally notes where others are left for another run."""
    if letters_max is None:
        return list(decided)
    left = letters_max - tally.going
    taken: list[Goes | Stays] = []
    for each in decided:
        if isinstance(each, Goes):
            if not left:
                tally.stopped_at_max = True
                break
            left -= 1
        taken.append(each)
    return taken


async def _send(producer: AIOKafkaProducer, going: Sequence[Goes]) -> list[Place | BaseException]:
    """Where each record stands now, or why that is not known: one that cannot be sent does not hide the others."""
    # One after the other into the client, so that records of one key keep their order; then all answers together.
    handed = [await _hand_over(producer, each) for each in going]
    return await asyncio.gather(
        *(_stands(each.letter.origin.topic, future) for each, future in zip(going, handed, strict=True)),
        return_exceptions=True,
    )


async def _hand_over(producer: AIOKafkaProducer, goes: Goes) -> "asyncio.Future[Any]":
    """The client's promise of an answer; one that has failed already where the client refuses the record."""
    origin = goes.letter.origin
    # By its key as any producer sends it; without one, to the lane where it was, which exists.
    partition = origin.lane if origin.key is None else None
    try:
        future: asyncio.Future[Any] = await producer.send(
            origin.topic, value=origin.value, key=origin.key, partition=partition, headers=list(goes.headers)
        )
    except (KafkaError, OSError, TimeoutError) as error:
        future = asyncio.get_running_loop().create_future()
        future.set_exception(error)
    return future


async def _stands(topic: str, future: "asyncio.Future[Any]") -> Place:
    metadata = await future
    return Place(topic, metadata.partition, metadata.offset)


def _require_all_sent(going: Sequence[Goes], answers: Sequence[Place | BaseException]) -> None:
    for each, answer in zip(going, answers, strict=True):
        if isinstance(answer, (KafkaError, OSError, TimeoutError)):
            raise BrokerUnavailable(
                f"sending {each.letter.place} back: {type(answer).__name__}: {answer}; what was acknowledged is "
                "remembered, what was not may be in the topic or not: run the command again"
            ) from answer
        if isinstance(answer, BaseException):
            raise answer


@asynccontextmanager
async def alone(connection: asyncpg.Connection) -> AsyncIterator[bool]:
    """Whether no other redrive runs; none begins before the end of the block."""
    with database_errors("asking whether another redrive runs"):
        taken: bool = await connection.fetchval("SELECT pg_try_advisory_lock($1)", _ADVISORY_LOCK)
    try:
        yield taken
    finally:
        if taken and not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", _ADVISORY_LOCK)

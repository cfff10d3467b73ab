"""A server behind the serving layer is killed under reads and publishes: who feels it, and for how long?"""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, TypeVar

import asyncpg

from bench.generating import Generator
from bench.generating import Message as Event
from bench.serve.asking import Client, Publish, Read
from bench.serve.exchanging import Answers, failed
from bench.serve.mixing import Place
from bench.target import Ground
from bench.workload import Workload
from pipeline.stack.config import PartName, StackConfig
from pipeline.stack.record import read
from pipeline.stack.stack import up

READS_PER_SECOND: Final = 1_000
PUBLISHES_PER_SECOND: Final = 20
REPORTS_PER_SECOND: Final = 20
_BEFORE_SECONDS: Final = 2.0
# Beyond the longest pause of who waits for a broker, and of a producer that was given up.
_AFTER_SECONDS: Final = 5.0
_REPEATED_SECONDS: Final = 60
_SLOW_NS: Final = 1_000_000_000
# Behind all that others send, whose transactions these must not be.
_FIRST_TRANSACTION: Final = 1_000_000_000
_SETTLED_SECONDS_MAX: Final = 60.0
_LOOK_SECONDS: Final = 0.2
_UNPUBLISHED: Final = (
    "SELECT sum(finance_position) AS consumed, sum(outbox_seq - published_seq) AS waiting FROM ops.lanes"
)


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Felt:
    """What one kind of request felt. Seconds are from the kill; 0: nobody was refused, nobody waited long."""

    requests: int
    failures: dict[int, int]  # by status; NO_ANSWER: none came within half a minute, or the connection ended
    slow: int  # answered, after more than a second
    last_failure_seconds: float
    last_slow_seconds: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Outage:
    """One server, killed and started again."""

    part: PartName
    away_seconds: float  # from the kill until it served again
    felt: dict[str, Felt]

    @property
    def error_share(self) -> float:
        requests = sum(each.requests for each in self.felt.values())
        return sum(sum(each.failures.values()) for each in self.felt.values()) / requests

    @property
    def recovered_seconds(self) -> float:
        """From when it served again until the last failure; 0 where it was before."""
        last = max(each.last_failure_seconds for each in self.felt.values())
        return max(last - self.away_seconds, 0.0)


def felt(answers: Answers, killed_ns: int) -> Felt:
    """From what a client noted."""
    last_failure = last_slow = 0.0
    failures: Counter[int] = Counter()
    slow = 0
    for due_ns, duration_ns, status in zip(answers.due_ns, answers.duration_ns, answers.statuses, strict=True):
        since = (due_ns + duration_ns - killed_ns) / 1e9
        if failed(status):
            failures[status] += 1
            last_failure = max(last_failure, since)
        elif duration_ns > _SLOW_NS:
            slow, last_slow = slow + 1, max(last_slow, since)
    durations = sorted(answers.duration_ns)
    p95_ms = durations[int(len(durations) * 0.95)] / 1e6 if durations else 0.0
    return Felt(len(answers), dict(failures), slow, last_failure, last_slow, p95_ms)


def publishable(workload: Workload) -> Iterator[Event]:
    """Events for the write API: creations, so that none depends on one that was refused."""
    described = replace(workload, creations_share=1.0, first_transaction_id=_FIRST_TRANSACTION, seed=99)
    return Generator(described).events()


async def survive(
    config: StackConfig,
    part: PartName,
    down_seconds: float,
    clients: Sequence[Client],
    places: Iterator[Place],
    events: Iterator[Event],
) -> Outage:
    """Reads, publishes and reports of three clients; the part is killed beneath them, and started again."""
    orders: dict[str, Read | Publish] = {
        "reads": Read(_taken(places, READS_PER_SECOND), READS_PER_SECOND, until_told=True),
        "publishes": Publish(_taken(events, PUBLISHES_PER_SECOND), PUBLISHES_PER_SECOND, until_told=True),
        "reports": Read(_taken(places, REPORTS_PER_SECOND), REPORTS_PER_SECOND, path="reports/daily", until_told=True),
    }
    await asyncio.gather(*(client.prepare(order) for client, order in zip(clients, orders.values(), strict=True)))
    try:
        await asyncio.sleep(_BEFORE_SECONDS)
        killed_ns = time.monotonic_ns()
        os.kill(pid_of(config, part), signal.SIGKILL)
        try:
            await asyncio.sleep(down_seconds)
        finally:
            await asyncio.to_thread(up, config)
        away = (time.monotonic_ns() - killed_ns) / 1e9
        await asyncio.sleep(_AFTER_SECONDS)
    finally:
        for client in clients:
            client.enough()
    answers = await asyncio.gather(*(client.answered() for client in clients))
    return Outage(part, away, {name: felt(each, killed_ns) for name, each in zip(orders, answers, strict=True)})


def _taken(source: Iterator[T], rate: int) -> list[T]:
    """As many as are sent before they are sent again."""
    return list(islice(source, rate * _REPEATED_SECONDS))


def pid_of(config: StackConfig, part: PartName) -> int:
    """The process of a part that is ours."""
    record = read(config.directory)
    assert record is not None
    process = record.parts[part].process
    assert process is not None, "an external server is not ours to kill"
    return process.pid


async def until_booked(ground: Ground) -> None:
    """Until the workers have booked and published what was sent, as far as nothing moves any more. TimeoutError."""
    connection = await asyncpg.connect(ground.endpoints.database_url)
    try:
        before = None
        async with asyncio.timeout(_SETTLED_SECONDS_MAX):
            while True:
                now = tuple(await connection.fetchrow(_UNPUBLISHED) or ())
                if now == before and not now[1]:
                    return
                before = now
                await asyncio.sleep(5 * _LOOK_SECONDS)
    finally:
        await connection.close()

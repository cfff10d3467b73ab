"""Reads at a rate that the clock alone decides, through the product's repository, from a process of its own.

Open loop, as the generator: read n is due at start + n / rate, and its latency counts from then.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from multiprocessing.connection import Connection
from random import Random
from typing import Final, Literal

from bench.histogram import Histogram
from bench.live.own_process import OwnProcess
from bench.storage.filling import HISTORY_DAYS
from bench.target import Ground
from bench.workload import Workload
from pipeline import settings as settings_module
from pipeline.endpoints import resolve
from pipeline.loop import run_on_loop
from pipeline.storage.balances import Balances
from pipeline.storage.intent import Read
from pipeline.storage.reading import Reads
from pipeline.storage.replicas.opening import open_readers
from pipeline.storage.reports import Reports

What = Literal["balance", "report"]
Ask = Callable[[int, int, date], Awaitable[object]]

# Half of what people look at is today's; the rest is spread over the days before.
_TODAY_SHARE: Final = 0.5
_SEED: Final = 7


@dataclass(frozen=True, slots=True)
class Order:
    """Ask for `what`, `rate` times a second, for so long."""

    what: What
    rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Answered:
    """Nanoseconds from when each read was due to its answer; `absent` of them found nothing."""

    durations_ns: list[int]
    absent: int

    def histogram(self) -> Histogram:
        found = Histogram()
        for duration_ns in self.durations_ns:
            found.record_ns(duration_ns)
        return found


class Reader(OwnProcess):
    """The process, as the scenario holds it. Use it as a context."""

    def __init__(self, ground: Ground, workload: Workload) -> None:
        super().__init__(serve, ground.environment(), workload)

    async def read(self, order: Order) -> Answered:
        """Have the reads made. Raises what a read raised."""
        self._pipe.send(order)
        answer = await asyncio.to_thread(self._pipe.recv)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Answered)
        return answer


def serve(pipe: "Connection", environment: Mapping[str, str], workload: Workload) -> None:
    """The reader's process: makes the reads that it is told, until it is told None."""
    run_on_loop(_serve(pipe, environment, workload))


async def _serve(pipe: "Connection", environment: Mapping[str, str], workload: Workload) -> None:
    settings = settings_module.load(environment)
    choice = Random(_SEED)  # noqa: S311 - reproducible, not secret
    async with open_readers(settings, resolve(settings)) as readers:
        reads = Reads(readers)
        balances, reports = Balances(reads), Reports(reads)

        async def balance(org_id: int, property_id: int, day: date) -> object:
            return await balances.of_day(org_id, property_id, day, intent=Read())

        async def report(org_id: int, property_id: int, day: date) -> object:
            return await reports.daily(org_id, property_id, day, intent=Read())

        asks: dict[What, Ask] = {"balance": balance, "report": report}
        while (order := await asyncio.to_thread(pipe.recv)) is not None:
            try:
                pipe.send(await _answered(asks[order.what], order, workload, choice))
            except Exception as error:  # noqa: BLE001 - whoever ordered the reads must hear of it
                pipe.send(error)


async def _answered(ask: Ask, order: Order, workload: Workload, choice: Random) -> Answered:
    durations_ns: list[int] = []
    absent = 0

    async def one(due_ns: int, place: tuple[int, int, date]) -> None:
        nonlocal absent
        absent += await ask(*place) is None
        durations_ns.append(time.monotonic_ns() - due_ns)

    start_ns = time.monotonic_ns()
    async with asyncio.TaskGroup() as reading:
        for number in range(round(order.rate * order.seconds)):
            due_ns = start_ns + int(number * 1e9 / order.rate)
            await asyncio.sleep((due_ns - time.monotonic_ns()) / 1e9)
            reading.create_task(one(due_ns, somewhere(workload, choice)))
    return Answered(durations_ns, absent)


def somewhere(workload: Workload, choice: Random) -> tuple[int, int, date]:
    """Organisation, property and day of a balance that the filled books have."""
    org_id = choice.randint(1, workload.orgs)
    property_id = org_id * 100 + choice.randint(1, workload.properties_per_org)
    back = 0 if choice.random() < _TODAY_SHARE else choice.randint(1, HISTORY_DAYS)
    return org_id, property_id, workload.today - timedelta(days=back)

"""One step of load: so many events a second for so long, and everything that was found out about it."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from bench.accounting import OTHER, Accountant, Watch
from bench.live.generator import Generator, Sent
from bench.live.looking import Looker, looking
from bench.live.receiver import Arrivals, Receiver
from bench.live.resolving import Latencies, Look, Sending, lag_records, resolve
from bench.live.schedule import Schedule, lane_turns

# From the order to the first event: time for the order to arrive.
_AHEAD_SECONDS: Final = 0.2
# Behind the last update: it may be marked as published a moment before a subscriber has it.
_LAST_ARRIVALS_SECONDS: Final = 0.3
_WAIT_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Step:
    """What was offered, what became of it and when, and what it took.

    `cpu` is in cores by part: the CPU until all of the step was committed, for each second for which its events were
    offered. So a worker that lags gains nothing by it. What others on the machine took is for each second that passed.
    """

    rate: float
    sent: Sent
    latencies: Latencies
    lag_records_max: int
    caught_up_seconds: float  # from the last event sent until all was committed
    updates: int
    cpu: Mapping[str, float]
    peaks_mib: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Trace:
    """What was sent when, and what was committed when: for whoever received updates by another way."""

    schedule: Schedule
    sending: Sending
    looks: Sequence[Look]
    arrivals: Arrivals


@dataclass(frozen=True, slots=True)
class Rig:
    """Who sends, who receives, and by what is measured."""

    generator: Generator
    receiver: Receiver
    connection: asyncpg.Connection
    accountant: Accountant
    folder: Path

    async def step(self, rate: float, seconds: float) -> Step:
        """Offer `rate` events a second for so long, and wait until the last of them is published.

        Raises ValueError when something was not acknowledged, TimeoutError when the books do not get there.
        """
        return (await self.traced(rate, seconds))[0]

    async def traced(self, rate: float, seconds: float, begun: asyncio.Event | None = None) -> tuple[Step, Trace]:
        """The same, with what else is known of it. `begun` is set when the first event is sent."""
        schedule_path, arrivals_path = self.folder / "schedule", self.folder / "arrivals"
        await asyncio.to_thread(self.generator.prepare, round(rate * seconds), schedule_path)
        schedule = Schedule.load(schedule_path)
        lanes = lane_turns(schedule)
        await asyncio.to_thread(self.receiver.begin, arrivals_path)
        self.accountant.peaks_mib.clear()
        with Watch(self.accountant):
            async with looking(self.connection) as looker:
                sending = await self._begin(looker, rate)
                if begun is not None:
                    begun.set()
                before, began = self.accountant.read(), time.monotonic()
                sent = await self._sent()
                ended = time.monotonic()
                await looker.until_committed(_ends(lanes, sending))
                committed = time.monotonic()
                spent = self.accountant.read().since(before)
                await looker.until_published()
                await asyncio.sleep(_LAST_ARRIVALS_SECONDS)
        arrivals = await asyncio.to_thread(self.receiver.end, arrivals_path)
        cpu = cores(spent, offered_seconds=len(schedule) / rate, passed_seconds=committed - began)
        step = self._found(schedule, sending, looker, arrivals, sent, cpu, committed - ended)
        return step, Trace(schedule, sending, looker.looks, arrivals)

    async def _begin(self, looker: Looker, rate: float) -> Sending:
        """All was drained before: the lanes stand where the next events will be."""
        while not looker.looks:
            await asyncio.sleep(_WAIT_SECONDS)
        positions = looker.looks[-1].positions
        sending = Sending(time.time_ns() + int(_AHEAD_SECONDS * 1e9), rate, positions)
        self.generator.begin(rate, sending.start_ns)
        await asyncio.sleep(_AHEAD_SECONDS)
        return sending

    async def _sent(self) -> Sent:
        while self.generator.sending():
            await asyncio.sleep(_WAIT_SECONDS)
        return await asyncio.to_thread(self.generator.ended)

    def _found(
        self,
        schedule: Schedule,
        sending: Sending,
        looker: Looker,
        arrivals: Arrivals,
        sent: Sent,
        cpu: Mapping[str, float],
        caught_up: float,
    ) -> Step:
        lanes = lane_turns(schedule)
        return Step(
            rate=sending.rate,
            sent=sent,
            latencies=resolve(schedule, sending, looker.looks, arrivals),
            lag_records_max=max(lag_records(look, sending, lanes) for look in looker.looks),
            caught_up_seconds=caught_up,
            updates=len(arrivals),
            cpu=cpu,
            peaks_mib=dict(self.accountant.peaks_mib),
        )


def _ends(lanes: Mapping[int, Sequence[int]], sending: Sending) -> dict[int, int]:
    """Lane to where it stands when all of the step is committed."""
    return {lane: sending.first_offsets.get(lane, 0) + len(turns) for lane, turns in lanes.items()}


def cores(spent: Mapping[str, float], *, offered_seconds: float, passed_seconds: float) -> dict[str, float]:
    """CPU seconds as cores: of our parts for each second of load, of others for each second that passed."""
    return {part: used / (passed_seconds if part == OTHER else offered_seconds) for part, used in spent.items()}

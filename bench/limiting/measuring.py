"""One round: each part alone, on ground of its own, and beside them a drain of the same events."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, TypeVar

from batchers.writers import lanes_of_writer
from bench.accounting import PARTS
from bench.draining import Round, drain_round
from bench.limiting.clocks import cpu_seconds
from bench.limiting.crew import Done, Job, crew
from bench.limiting.jobs import feed, fetch, stages
from bench.progress import Progress
from bench.target import Ground, Stream, Target
from pipeline.settings import Settings

# A part this near to all that it can have is what limits.
_BUSY_SHARE: Final = 0.9
T = TypeVar("T")
Shares = list[list[list[int]]]  # by process, by connection, the lanes


@dataclass(frozen=True, slots=True)
class Shape:
    """How many processes, and how many connections in all; each connection has lanes of its own."""

    processes: int
    connections: int

    @property
    def name(self) -> str:
        return f"{_counted(self.connections, 'connection')} in {_counted(self.processes, 'process', 'es')}"


# One Python process may be what limits two connections: so two are tried in one and in two.
SHAPES: Final = (Shape(1, 1), Shape(1, 2), Shape(2, 2), Shape(2, 4))


@dataclass(frozen=True, slots=True)
class Alone:
    """What processes did together, and the CPU of the servers meanwhile, in seconds by part."""

    done: list[Done]
    servers: Mapping[str, float]
    machine_busy: float = 0.0  # seconds of all cores, whoever used them

    @property
    def events(self) -> int:
        return sum(each.events for each in self.done)

    @property
    def seconds(self) -> float:
        return max(each.ended for each in self.done) - min(each.began for each in self.done)

    @property
    def events_per_second(self) -> float:
        return self.events / self.seconds

    @property
    def cpu(self) -> float:
        """Of the processes themselves."""
        return sum(each.cpu for each in self.done)

    @property
    def other_cores(self) -> float:
        """What others took meanwhile."""
        return max(self.machine_busy - self.cpu - sum(self.servers.values()), 0.0) / self.seconds

    def limited_by(self, cores: int) -> str:
        """What was as busy as it can be; waiting, where nothing was."""
        ours = (self.cpu + sum(self.servers.values())) / self.seconds
        if ours + self.other_cores >= _BUSY_SHARE * cores:
            return "all cores" if ours >= _BUSY_SHARE * cores else "all cores, others' work on them"
        if max(each.cpu for each in self.done) >= _BUSY_SHARE * self.seconds:
            return "one Python process"
        if max((cpu for each in self.done for cpu in each.backends), default=0.0) >= _BUSY_SHARE * self.seconds:
            return "one database backend"
        if all(each.cpu + sum(each.backends) >= _BUSY_SHARE * self.seconds for each in self.done):
            return "process and backends, by turns"
        return "waiting: the disk, round trips"


@dataclass(slots=True)
class LimitRound:
    """What one round measured."""

    fetched: Alone
    staged: Alone
    drained: Round
    fed: dict[Shape, Alone] = field(default_factory=dict)


async def measure(
    target: Target, stream: Stream, template: str, workers: int, progress: Progress
) -> tuple[LimitRound, Ground]:
    """One round. The ground that is left is that of the stages, with all its updates published."""
    settings = target.settings
    drained, _ = await drain_round(target, stream, workers, template)
    progress.say(f"  drain: {drained.events_per_second:,.0f} ev/s, {drained.cpu_us_total:.1f} µs of CPU an event")
    shares = product_shares(stream.lanes, workers, settings)
    fetched, _ = await alone(target, stream, template, fetch, shares)
    progress.say(f"  fetch and decode alone: {fetched.events_per_second:,.0f} ev/s")
    fed: dict[Shape, Alone] = {}
    for shape in SHAPES:
        if shape.connections <= stream.lanes:
            fed[shape], _ = await alone(target, stream, template, feed, shares_of(stream.lanes, shape))
            progress.say(f"  from memory, {shape.name}: {fed[shape].events_per_second:,.0f} ev/s")
    one_process = [[group for share in shares for group in share]]
    staged, ground = await alone(target, stream, template, stages, one_process)
    progress.say(f"  stage by stage: {staged.events_per_second:,.0f} ev/s")
    return LimitRound(fetched, staged, drained, fed), ground


async def alone(target: Target, stream: Stream, template: str, job: Job, shares: Shares) -> tuple[Alone, Ground]:
    """One job on new ground, by one process for each share."""
    ground = await target.reset(stream, template)
    with crew(job, ground.environment(), shares) as members:
        await asyncio.to_thread(members.wait_ready)
        before, busy = _servers(target), target.accountant().read().machine_busy
        done = await asyncio.to_thread(members.work)
        # The last background work of the servers is in it as far as it is done by now: so it is in a drain.
        after, busy = _servers(target), target.accountant().read().machine_busy - busy
    return Alone(done, {part: after[part] - before[part] for part in before}, busy), ground


def _servers(target: Target) -> dict[str, float]:
    """CPU by part: of the database all of its processes; the others are one process each, read by its own clock."""
    read = target.accountant().read().cpu
    precise: dict[str, float] = {part: cpu_seconds(pid) for part, pid in target.pids.items() if part != "database"}
    return {part: precise.get(part, read[part]) for part in PARTS if part in target.pids}


def product_shares(lanes: int, workers: int, settings: Settings) -> Shares:
    """The lanes as the product spreads them: over workers by range, and in each over its writers."""
    batch = settings.batch
    shares = []
    for own in chunks(range(lanes), workers):
        each = lanes_of_writer(len(own), batch.lanes_per_writer, batch.writers_max)
        shares.append([own[first : first + each] for first in range(0, len(own), each)])
    return shares


def shares_of(lanes: int, shape: Shape) -> Shares:
    """The lanes spread evenly over as many connections, and these over as many processes."""
    return chunks(chunks(range(lanes), shape.connections), shape.processes)


def chunks(items: Sequence[T], count: int) -> list[list[T]]:
    """Neighbours together, in `count` parts where there are so many items; the first ones may be longer by one."""
    count = min(count, len(items))
    size, longer = divmod(len(items), count)
    bounds = [number * size + min(number, longer) for number in range(count + 1)]
    return [list(items[first:last]) for first, last in pairwise(bounds)]


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0))


def _counted(count: int, what: str, many: str = "s") -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}{many}"

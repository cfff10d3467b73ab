"""Draining at each point of the curves, the points in turn: what the machine does meanwhile strikes them all alike."""

import time
from dataclasses import dataclass, field

import asyncpg

from bench.draining import Round, drain_round, ready
from bench.progress import Progress
from bench.proving import prove
from bench.results import Proof
from bench.scaling.filling import fill, unfill
from bench.scaling.points import Curve, Point
from bench.target import Ground, Stream, Target


@dataclass(slots=True)
class Measured:
    """The rounds of each point of each curve, and the proofs of the books that they left."""

    rounds: dict[tuple[str, Point], list[Round]] = field(default_factory=dict)
    proofs: list[Proof] = field(default_factory=list)

    def of(self, curve: Curve) -> list[list[Round]]:
        """By point, its rounds."""
        return [self.rounds[curve.name, point] for _, point in curve.points]

    def rates(self, curve: Curve) -> list[list[float]]:
        """By point, the events a second of its rounds."""
        return [[each.events_per_second for each in rounds] for rounds in self.of(curve)]


@dataclass(frozen=True, slots=True)
class Care:
    """How carefully: `rounds` of each point while `seconds_max` last, and one of each in any case.

    The books of each curve's last point are proved: those of every point would take half of the time.
    """

    rounds: int
    seconds_max: float


class Measurer:
    """Measures curves on one target."""

    def __init__(self, target: Target, progress: Progress, care: Care) -> None:
        self._target = target
        self._progress = progress
        self._care = care
        self._began = time.monotonic()
        self.measured = Measured()
        self._fills: list[int] = []

    async def warm_up(self, point: Point) -> None:
        """Drain once for nothing: a broker and a database that have just been started are slow."""
        stream, template = await ready(self._target, point.workload, point.workers, point.lanes)
        await drain_round(self._target, stream, point.workers, template)

    async def measure(self, curve: Curve) -> None:
        """Every point of the curve, in turn; their topics are removed afterwards."""
        prepared = [(point, *await self._prepare(point)) for _, point in curve.points]
        number, last = 1, False
        while not last:
            last = number >= self._care.rounds or time.monotonic() - self._began > self._care.seconds_max
            for point, stream, template in prepared:
                done, ground = await drain_round(self._target, stream, point.workers, template, **point.overrides)
                self.measured.rounds.setdefault((curve.name, point), []).append(done)
                self._tell(curve, point, number, done)
                if last and point == prepared[-1][0]:
                    await self._prove(point, ground)
            number += 1
        # Points of one curve may share a stream; it goes once.
        for stream in {stream.prefix: stream for _, stream, _ in prepared}.values():
            await self._target.forget(stream)

    async def _prepare(self, point: Point) -> tuple[Stream, str]:
        """The stream, and the template that each round begins with."""
        stream, template = await ready(self._target, point.workload, point.workers, point.lanes)
        return stream, await self._filled(point, template) if point.filled_rows else template

    async def _filled(self, point: Point, empty: str) -> str:
        """The template with so many rows, made from the one with the next fewer."""
        template = _template(point.filled_rows)
        if not self._target.has(template):
            before = max((rows for rows in self._fills if rows < point.filled_rows), default=0)

            async def fill_up(connection: asyncpg.Connection) -> None:
                await fill(connection, before, point.filled_rows, point.workload.orgs, self._progress)

            await self._target.derive(template, _template(before) if before else empty, fill_up)
            self._fills.append(point.filled_rows)
        return template

    async def _prove(self, point: Point, ground: Ground) -> None:
        if point.filled_rows:
            await unfill(ground.endpoints.database_url)
        self.measured.proofs.append(await prove(ground))

    def _tell(self, curve: Curve, point: Point, number: int, done: Round) -> None:
        x = next(x for x, each in curve.points if each == point)
        self._progress.say(
            f"{curve.name} {x:,.10g}, round {number}: {done.events_per_second:,.0f} ev/s, "
            f"{done.cpu_us_total:.1f} µs of CPU an event"
        )


def _template(filled_rows: int) -> str:
    return f"filled_{filled_rows}"

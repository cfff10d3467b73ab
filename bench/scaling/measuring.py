"""Draining at each point of the curves, the points in turn: what the machine does meanwhile strikes them all alike."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.draining import Round, drain_round, ready
from bench.progress import Progress
from bench.proving import prove
from bench.results import Proof
from bench.scaling.filling import fill, unfill
from bench.scaling.points import Curve, Point
from bench.target import Ground, Stream, Target


@dataclass(slots=True)
class Measured:
    """The rounds of each point, and the proofs of the books that they left."""

    rounds: dict[Point, list[Round]] = field(default_factory=dict)
    proofs: list[Proof] = field(default_factory=list)

    def rates(self, point: Point) -> list[float]:
        """Events a second, by round."""
        return [each.events_per_second for each in self.rounds[point]]


class Measurer:
    """Measures curves on one target."""

    def __init__(self, target: Target, progress: Progress, rounds: int, *, prove_all: bool) -> None:
        self._target = target
        self._progress = progress
        self._rounds = rounds
        self._prove_all = prove_all  # else the last point of each curve alone
        self.measured = Measured()

    async def measure(self, curve: Curve) -> None:
        """Every point of the curve that no curve before had; their topics are removed afterwards."""
        points = [point for _, point in curve.points if point not in self.measured.rounds]
        prepared = [(point, *await self._prepare(point)) for point in points]
        for number in range(1, self._rounds + 1):
            for point, stream, template in prepared:
                done, ground = await drain_round(self._target, stream, point.workers, template, **point.overrides)
                self.measured.rounds.setdefault(point, []).append(done)
                self._tell(curve, point, number, done)
                if number == self._rounds and (self._prove_all or point == points[-1]):
                    await self._prove(point, ground)
        await self._forget([stream for _, stream, _ in prepared])

    async def _prepare(self, point: Point) -> tuple[Stream, str]:
        """The stream, and the template that each round begins with."""
        stream, template = await ready(self._target, point.workload, point.workers, point.lanes)
        if point.filled_rows:
            template = f"filled_{point.filled_rows}"
            if not self._target.has(template):
                ground = await self._target.reset(stream)
                await fill(ground.endpoints.database_url, point.filled_rows, point.workload.orgs, self._progress)
                await self._target.keep(template)
        return stream, template

    async def _prove(self, point: Point, ground: Ground) -> None:
        if point.filled_rows:
            await unfill(ground.endpoints.database_url)
        self.measured.proofs.append(await prove(ground))

    async def _forget(self, streams: Sequence[Stream]) -> None:
        """Points of one curve may share a stream; it goes once."""
        for stream in {each.prefix: each for each in streams}.values():
            await self._target.forget(stream)

    def _tell(self, curve: Curve, point: Point, number: int, done: Round) -> None:
        x = next(x for x, each in curve.points if each == point)
        self._progress.say(
            f"{curve.name} {x:,.10g}, round {number} of {self._rounds}: {done.events_per_second:,.0f} ev/s, "
            f"{done.cpu_us_total:.1f} µs of CPU an event"
        )

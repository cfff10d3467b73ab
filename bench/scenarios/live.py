"""live: an open-loop load at rising rates: when is an event committed, and when does a subscriber see it?"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from bench.draining import ready
from bench.form import Form
from bench.live.generator import Made
from bench.live.rigging import rigged
from bench.live.stepping import Step
from bench.live.telling import accounts_table, cpu_table, curve, held, latency_table, notes, stated, told
from bench.progress import Progress
from bench.proofs import together
from bench.proving import prove
from bench.results import Figure, Proof, ScenarioResult, Series, figure
from bench.target import Ground, Target
from bench.workload import Workload, mixed

_TITLE: Final = "open loop at rising rates: event to commit to update received"
TARGET_RATE: Final = 5_000
_PERCENTILES: Final = {"p50": 50.0, "p99": 99.0, "p999": 99.9}
_ORGS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Ladder:
    """Which rates are offered, for how many seconds each, in how many rounds, after how much warming up."""

    rates: tuple[int, ...]
    seconds: float
    warm_seconds: float
    rounds: int

    @property
    def events(self) -> int:
        """Of one round, warming up included."""
        return round(sum(self.rates) * self.seconds + TARGET_RATE * self.warm_seconds)


# A broker and a database that have just been started are several times as slow for their first seconds.
_FULL: Final = Ladder((500, 1_000, 2_500, 5_000, 10_000, 20_000, 25_000, 30_000, 35_000, 40_000), 10.0, 20.0, 3)
_SHORT: Final = Ladder((500, TARGET_RATE, 30_000), 3.0, 6.0, 1)


async def run(target: Target, form: Form, progress: Progress) -> ScenarioResult:
    """Each round on topics, a database and workers of its own; each is proved."""
    began = time.monotonic()
    ladder = _FULL if form.full else _SHORT
    ladder = replace(ladder, rounds=form.rounds or ladder.rounds)
    # A steady state: hotels are known before they trade.
    workload = mixed(ladder.events, orgs=form.orgs or _ORGS, properties_loaded=True)
    rounds: list[list[Step]] = []
    proofs: list[Proof] = []
    for number in range(1, ladder.rounds + 1):
        progress.say(f"live, round {number} of {ladder.rounds}")
        # Loaded with nothing: the load comes live.
        stream, template = await ready(target, replace(workload, events=0, seed=number), form.workers)
        ground = await target.reset(stream, template)
        steps, made = await _round(target, ground, replace(workload, seed=number), ladder, form.workers, progress)
        rounds.append(steps)
        progress.say("live: proving the books of the round")
        proofs.append(await prove(ground))
        await target.forget(stream)
    steps_by_rate = by_rate(rounds)
    labels = {f"{rate:,}/s": steps for rate, steps in steps_by_rate.items()}
    warm = f"Each round is warmed up with {TARGET_RATE * ladder.warm_seconds:,.0f} events, unmeasured."
    return ScenarioResult(
        name="live",
        title=_TITLE,
        workload=stated(workload, made),
        figures=figures(rounds),
        tables=[latency_table(labels), cpu_table(labels), accounts_table(labels)],
        series=_series(steps_by_rate),
        proof=together(proofs),
        notes=[*notes(), warm],
        parameters={"workers": form.workers, "seconds a step": ladder.seconds, "rounds": ladder.rounds},
        seconds=time.monotonic() - began,
    )


async def _round(
    target: Target, ground: Ground, workload: Workload, ladder: Ladder, workers: int, progress: Progress
) -> tuple[list[Step], Made]:
    steps: list[Step] = []
    async with rigged(target, ground, workload, workers) as rig:
        await rig.step(TARGET_RATE, ladder.warm_seconds)
        failed = 0
        for rate in ladder.rates:
            steps.append(await rig.step(rate, ladder.seconds))
            progress.say(told(steps[-1]))
            failed += not held(steps[-1])
            if failed == 2:  # one may be a neighbour's doing; after two, what is higher fails as well
                break
        return steps, rig.generator.made()


def by_rate(rounds: Sequence[Sequence[Step]]) -> dict[int, list[Step]]:
    """The steps of all rounds, by the rate that they offered."""
    found: dict[int, list[Step]] = {}
    for step in sorted((step for steps in rounds for step in steps), key=lambda step: step.rate):
        found.setdefault(round(step.rate), []).append(step)
    return found


def figures(rounds: Sequence[Sequence[Step]]) -> list[Figure]:
    """Latencies and worker CPU at each rate, and the highest rate that each round held."""
    found = []
    for rate, steps in by_rate(rounds).items():
        for name, percent in _PERCENTILES.items():
            updates = [step.latencies.update.percentile_ms(percent) for step in steps]
            commits = [step.latencies.commit.percentile_ms(percent) for step in steps]
            found.append(figure(f"commit_{name}_ms_at_{rate}", "ms", commits, "less"))
            found.append(figure(f"update_{name}_ms_at_{rate}", "ms", updates, "less"))
        workers = [step.cpu.get("workers", 0.0) for step in steps]
        found.append(figure(f"worker_cores_at_{rate}", "cores", workers, "less"))
    highest = [max((step.rate for step in steps if held(step)), default=0.0) for steps in rounds]
    found.append(figure("highest_rate_p99_below_1s", "ev/s", highest, "more"))
    peaks = [max((step.peaks_mib.get("workers", 0.0) for step in steps), default=0.0) for steps in rounds]
    found.append(figure("peak_mib_workers", "MiB", peaks, "less"))
    return found


def _series(steps: dict[int, list[Step]]) -> list[Series]:
    rates = [float(rate) for rate in steps]
    found = []
    for name, percent in _PERCENTILES.items():
        latencies = [[step.latencies.update.percentile_ms(percent) for step in of_rate] for of_rate in steps.values()]
        found.append(curve(name, "event to update, ms", rates, latencies))
    for part in ("workers", "database", "broker", "cache"):
        cores = [[step.cpu.get(part, 0.0) for step in of_rate] for of_rate in steps.values()]
        found.append(curve(part, "CPU, cores", rates, cores))
    return found

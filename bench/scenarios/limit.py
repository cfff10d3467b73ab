"""limit: how fast the machine would let the pipeline be, and where the CPU of an event goes."""

import time

from bench.draining import ready
from bench.form import Form
from bench.limiting.judging import NOTES, figures, stacks, tables
from bench.limiting.measuring import LimitRound, cores, measure
from bench.progress import Progress
from bench.proving import prove
from bench.results import ScenarioResult
from bench.scenarios.drain import disturbed, stated
from bench.target import Target
from bench.workload import mixed

_TITLE = "what the cores allow: parts of the pipeline alone on the events of a drain, and the CPU of an event by stage"


async def run(target: Target, form: Form, progress: Progress) -> ScenarioResult:
    """The workload of `drain`; each round drains it too, so that both are measured under the same neighbours."""
    if not target.local:
        return ScenarioResult("limit", _TITLE, missing="the CPU of external servers cannot be read")
    began = time.monotonic()
    events = form.events_or(40_000, 1_000_000)
    workload = mixed(events, orgs=form.orgs or 100_000, properties_loaded=form.properties_loaded)
    stream, template = await ready(target, workload, form.workers)
    rounds: list[LimitRound] = []
    count = form.rounds_or(1, 3)
    for number in range(1, count + 1):
        progress.say(f"limit, round {number} of {count}")
        done, ground = await measure(target, stream, template, form.workers, progress)
        rounds.append(done)
    progress.say("limit: proving the books that were written stage by stage")
    proof = await prove(ground)
    progress.say(f"limit: {proof.summary}")
    generator_us = stream.loaded.generator_cpu_seconds * 1e6 / stream.loaded.events
    return ScenarioResult(
        name="limit",
        title=_TITLE,
        workload=stated(stream),
        figures=figures(rounds, cores()),
        tables=tables(rounds, cores(), generator_us),
        stacks=stacks(rounds),
        proof=proof,
        notes=[*NOTES, *disturbed([each.drained for each in rounds])],
        parameters={"workers": form.workers, "lanes": stream.lanes, "rounds": count, "events": stream.loaded.events},
        seconds=time.monotonic() - began,
    )

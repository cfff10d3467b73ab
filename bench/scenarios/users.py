"""users: 100,000 organisations of 5 properties and 5 users, who read and follow beside the required rate of events."""

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final

from bench.draining import ready
from bench.form import Form
from bench.live.rigging import rigged
from bench.live.telling import accounts_table, cpu_table, latency_table, notes, stated
from bench.progress import Progress
from bench.proving import prove
from bench.results import ScenarioResult
from bench.serve import telling
from bench.serve.asking import Client
from bench.serve.issuing import Issuer
from bench.serve.mixing import Mix
from bench.serve.reading import ABSENT, TODAY_SHARE, Reads, mixed_reads, reads
from bench.serve.realtime import followed
from bench.serve.server import precedence, served
from bench.target import Target
from bench.workload import mixed

_ORGS: Final = 100_000
_PROPERTIES: Final = 5
USERS: Final = 5
_PAST_DAYS: Final = 7
_EVENTS_PER_SECOND: Final = 1_667  # a hundred thousand a minute
_READS_PER_SECOND: Final = 500
_WARM_SECONDS: Final = 3.0
_SETTLING_SECONDS: Final = 4.0  # the first seconds of a load are not those of its hours
_LONGER_SECONDS: Final = 2.0


async def run(target: Target, form: Form, progress: Progress) -> ScenarioResult:
    """One round. Of half a million users as many follow at once as two cores allow beside everything else."""
    began = time.monotonic()
    seconds, count = (60.0, 5_000) if form.full else (6.0, 1_000)
    total = _SETTLING_SECONDS + seconds + _LONGER_SECONDS
    events = round(_EVENTS_PER_SECOND * (_WARM_SECONDS + 1 + total)) + 100
    workload = mixed(events, orgs=form.orgs or _ORGS, properties_loaded=True)
    workload = replace(workload, name="users", properties_per_org=_PROPERTIES)
    stream, template = await ready(target, replace(workload, events=0), form.workers)
    ground = await target.reset(stream, template)
    looked_at = Mix(workload.orgs, _PROPERTIES, workload.zipf_exponent, workload.today, TODAY_SHARE, _PAST_DAYS)
    places, answered = looked_at.places(), list[Reads]()
    orgs = list(islice(followers(place.org_id for place in places), count))
    with tempfile.TemporaryDirectory(prefix="folio-bench-users-") as folder:
        async with (
            rigged(target, ground, workload, form.workers) as rig,
            served(ground, Issuer(), Path(folder)) as server,
        ):
            await rig.step(_EVENTS_PER_SECOND, _WARM_SECONDS)
            with Client(server.issuer, server.port) as client:

                async def read() -> None:
                    for length in (_SETTLING_SECONDS, seconds):
                        order = replace(mixed_reads(places, _READS_PER_SECOND, length), users=USERS)
                        answered.append(await reads(client, server, order, ABSENT))

                progress.say(f"users: {_READS_PER_SECOND} reads a second, and {count:,} users who follow")
                found = await followed(
                    rig, ground, server, orgs, workload.today, _EVENTS_PER_SECOND, total, meanwhile=read
                )
            made = rig.generator.made()
    progress.say("users: proving the books")
    proof = await prove(ground)
    await target.forget(stream)
    steps = {f"{_EVENTS_PER_SECOND:,}/s": [found.step]}
    return ScenarioResult(
        name="users",
        title=f"{workload.orgs:,} organisations x {_PROPERTIES} properties x {USERS} users",
        workload=stated(workload, made),
        figures=[
            *telling.read_figures("first_reads", answered[0]),
            *telling.read_figures("reads", answered[1]),
            *telling.delay_figures(found),
        ],
        tables=[
            telling.reads_table({"the first seconds": answered[0], "all organisations": answered[1]}),
            telling.realtime_table({"of all organisations": found.agreed}),
            latency_table(steps),
            cpu_table(steps),
            accounts_table(steps),
        ],
        proof=proof,
        notes=[*notes(), precedence(), *_notes(count)],
        parameters={"workers": form.workers, "subscribers": count, "reads/s": _READS_PER_SECOND},
        seconds=time.monotonic() - began,
    )


def followers(orgs: Iterator[int]) -> Iterator[int]:
    """Organisations as they are drawn, each as often as it has users."""
    taken: Counter[int] = Counter()
    for org_id in orgs:
        if taken[org_id] < USERS:
            taken[org_id] += 1
            yield org_id


def _notes(count: int) -> list[str]:
    said = f"{_READS_PER_SECOND} reads a second by users of all organisations, drawn as events are, five users each; "
    said += f"{count:,} of the users follow their organisation. A hotel that has not traded yet is answered with 404."
    return [said]

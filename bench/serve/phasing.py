"""What the phases ask of the serving layer: answers, hits, reads from replicas, a circuit that opens and closes."""

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from bench.histogram import Histogram
from bench.live.stepping import Rig, Step
from bench.results import Cell, Figure, Table, figure
from bench.serve import reading
from bench.serve.asking import Client, Read
from bench.serve.exchanging import Answers
from bench.serve.outages import pid_of
from bench.serve.server import Samples, Server, total
from bench.workload import Workload
from pipeline.stack.config import StackConfig
from pipeline.stack.stack import up

_BALANCES_PER_SECOND: Final = 400
# Who looks at a balance goes on to its transactions one time in four.
_PAGES_PER_SECOND: Final = 100
_PAST_DAYS: Final = 7
_LOOKED_AT_ORGS: Final = _BALANCES_PER_SECOND // reading.READS_PER_ORG
# As long as a day of today lives in the cache.
WARM_SECONDS: Final = 16.0
# The first seconds of a load are not those of its hours: who stood still trades again, and each has to be read once.
_SETTLING_SECONDS: Final = 6.0
_LONGER_SECONDS: Final = 2.0  # that a step lasts beyond the reads beside it
# The product's minute would be the whole phase.
_OPEN_SECONDS: Final = 3.0
BREAKER: Final = {"RESILIENCE_BREAKER_OPEN_SECONDS": f"{_OPEN_SECONDS:g}"}
_AWAY_SECONDS: Final = 4.0
_BACK_SECONDS_MAX: Final = 60.0
_LOOK_SECONDS: Final = 0.25
_PRIMARY: Final = "primary"


@dataclass(frozen=True, slots=True)
class Answered:
    """Reads beside one step of a phase. Shares are None where nothing was asked that could tell."""

    balances: Answers
    pages: Answers
    hit_rate: float | None
    replica_share: float | None  # of the reads that a database answered

    def histogram(self) -> Histogram:
        """Of both kinds."""
        found = Histogram()
        for answers in (self.balances, self.pages):
            for duration_ns in answers.duration_ns:
                found.record_ns(duration_ns)
        return found

    @property
    def error_share(self) -> float:
        return (self.balances.failures + self.pages.failures) / (len(self.balances) + len(self.pages))


@dataclass(frozen=True, slots=True)
class Broken:
    """What the database's circuit did while the database was away, by the server's own count."""

    opened: int
    closed: int
    refused: int  # calls that did not reach the database
    closed_seconds: float  # from when it served again until the circuit was closed


async def answered(
    rig: Rig, server: Server, workload: Workload, rate: float, seconds: float, warm_seconds: float
) -> tuple[Step, Answered]:
    """A step of the phase, and reads beside it: balances through the cache, pages of transactions past it."""
    places = reading.mix(workload, _PAST_DAYS, _LOOKED_AT_ORGS).places()
    settling = min(_SETTLING_SECONDS, seconds / 2) if warm_seconds else 0.0
    read_seconds = seconds - settling - min(_LONGER_SECONDS, seconds / 4)
    balances = reading.mixed_reads(places, _BALANCES_PER_SECOND, read_seconds)
    pages = Read(
        list(islice(places, round(_PAGES_PER_SECOND * read_seconds))), _PAGES_PER_SECOND, path="transactions/revenue"
    )
    with Client(server.issuer, server.port) as first, Client(server.issuer, server.port) as second:
        # Plans, connections, tokens and the cache.
        await first.ask(reading.mixed_reads(places, _BALANCES_PER_SECOND, warm_seconds))

        async def both() -> Answered:
            await first.ask(reading.mixed_reads(places, _BALANCES_PER_SECOND, settling))
            before = await server.samples()
            found = await asyncio.gather(first.ask(balances), second.ask(pages))
            after = await server.samples()
            for answers in found:
                reading.require_good(answers, reading.ABSENT)
            return Answered(*found, reading.shares(before, after)[0], replica_share(before, after))

        found, step, _ = await reading.beside(rig, rate, seconds, both)
    return step, found


def replica_share(before: Samples, after: Samples) -> float | None:
    """Of the reads that databases answered between two looks."""
    name = "folio_reads_total"
    every = total(after, name) - total(before, name)
    primary = total(after, name, server=_PRIMARY) - total(before, name, server=_PRIMARY)
    return (every - primary) / every if every else None


async def broken(server: Server, workload: Workload, directory: Path) -> Broken:
    """The database is killed under reads that need it, and started again."""
    config = StackConfig(directory, preferred_ports={})
    places = list(islice(reading.mix(workload, _PAST_DAYS, _LOOKED_AT_ORGS).places(), 5_000))
    before = await server.samples()
    with Client(server.issuer, server.port) as client:
        await client.prepare(Read(places, _PAGES_PER_SECOND, path="balances", until_told=True))
        try:
            os.kill(pid_of(config, "postgres"), signal.SIGKILL)
            try:
                await asyncio.sleep(_AWAY_SECONDS)
            finally:
                await asyncio.to_thread(up, config)
            waited = await _until_closed(server)
        finally:
            client.enough()
        await client.answered()
    after = await server.samples()

    def counted(name: str, **labels: str) -> int:
        return round(total(after, name, part="postgres", **labels) - total(before, name, part="postgres", **labels))

    return Broken(
        counted("folio_circuit_transitions_total", state="open"),
        counted("folio_circuit_transitions_total", state="closed"),
        counted("folio_guarded_calls_refused_total", by="circuit"),
        waited,
    )


async def _until_closed(server: Server) -> float:
    waited = 0.0
    while waited < _BACK_SECONDS_MAX:
        await asyncio.sleep(_LOOK_SECONDS)
        waited += _LOOK_SECONDS
        if not total(await server.samples(), "folio_circuit_state", part="postgres"):
            return waited
    return waited


def answered_figures(steps: Sequence[Answered]) -> list[Figure]:
    """A round for each step."""
    histograms = [step.histogram() for step in steps]
    made = [
        figure(f"answer_p{percent:g}_ms", "ms", [each.percentile_ms(percent) for each in histograms], "less")
        for percent in (50.0, 95.0, 99.0)
    ]
    made.append(figure("answer_max_ms", "ms", [each.max_ms for each in histograms], "less"))
    made.append(figure("answer_error_share", "of all", [step.error_share for step in steps], "less"))
    if hits := [step.hit_rate for step in steps if step.hit_rate is not None]:
        made.append(figure("hit_rate", "of answers", hits, "more"))
    if shares := [step.replica_share for step in steps if step.replica_share is not None]:
        made.append(figure("replica_share", "of reads", shares, "more"))
    return made


def broken_figures(found: Broken) -> list[Figure]:
    works = found.opened > 0 and found.closed > 0 and found.refused > 0
    return [
        figure("circuit_works", "of 1", [float(works)], "more"),
        figure("circuit_refused", "calls", [found.refused]),
        figure("circuit_closed_seconds", "s", [found.closed_seconds], "less"),
    ]


def answered_table(steps: Sequence[Answered]) -> Table:
    """Balances and pages apart."""
    rows: list[list[Cell]] = []
    for kind in ("balances", "pages of transactions"):
        whole, failures, count = Histogram(), 0, 0
        for step in steps:
            answers = step.balances if kind == "balances" else step.pages
            failures, count = failures + answers.failures, count + len(answers)
            for duration_ns in answers.duration_ns:
                whole.record_ns(duration_ns)
        values = [round(whole.percentile_ms(percent), 1) for percent in (50.0, 95.0, 99.0)]
        rows.append([kind, count, *values, round(whole.max_ms, 1), failures])
    return Table("reads beside the load", ["reads", "count", "p50 ms", "p95 ms", "p99 ms", "max ms", "failed"], rows)


def notes() -> list[str]:
    """What was read."""
    read = f"Beside the load: {_BALANCES_PER_SECOND} balances a second through the cache and {_PAGES_PER_SECOND} pages "
    read += f"of transactions past it, of the {_LOOKED_AT_ORGS} organisations that trade most, from one process "
    read += "of `folio serve`; open loop, counted from when each was due. "
    return [read + f"The first {_SETTLING_SECONDS:g} s of the load, and {WARM_SECONDS:g} s before it, are left out."]

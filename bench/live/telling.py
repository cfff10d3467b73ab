"""Steps of load as lines, tables and curves. Steps come by their label: what was offered."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from bench.histogram import Histogram
from bench.live.generator import Made
from bench.live.looking import LOOK_SECONDS
from bench.live.stepping import Step
from bench.results import Cell, Series, Table, WorkloadStatement
from bench.workload import Workload

P99_SECONDS_MAX: Final = 1.0
# A rate is held only if its backlog does not grow: what is left at its end is gone in so many seconds.
CAUGHT_UP_SECONDS_MAX: Final = 1.0
_PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9)
_PARTS: Final = ("workers", "broker", "database", "cache", "generator", "receiver", "harness", "other")

Steps = Mapping[str, Sequence[Step]]  # those of all rounds, by label


def held(step: Step) -> bool:
    """Whether the rate was held: subscribers saw 99% within a second, and no backlog grew."""
    p99_ms = step.latencies.update.percentile_ms(99)
    return p99_ms < P99_SECONDS_MAX * 1_000 and step.caught_up_seconds < CAUGHT_UP_SECONDS_MAX


def told(step: Step) -> str:
    """A line of progress."""
    commit, update = (
        f"p50 {of.percentile_ms(50):,.0f} p99 {of.percentile_ms(99):,.0f} ms"
        for of in (step.latencies.commit, step.latencies.update)
    )
    cores = step.cpu.get("workers", 0.0)
    line = f"  {step.rate:,.0f} events/s: committed {commit}, seen {update}, workers {cores:.2f} cores"
    return line if held(step) else f"{line}: not held"


def stated(workload: Workload, made: Made) -> WorkloadStatement:
    """What was sent, as it was counted while it was made."""
    return WorkloadStatement(workload, workload.distribution, workload.mixture, made.census, made.cpu_seconds)


def latency_table(steps: Steps) -> Table:
    """Percentiles of all rounds together."""
    rows: list[list[Cell]] = []
    for label, of_label in steps.items():
        kinds = {
            "event to stamp": [step.latencies.stamp for step in of_label],
            "event to commit": [step.latencies.commit for step in of_label],
            "event to update": [step.latencies.update for step in of_label],
        }
        for kind, histograms in kinds.items():
            whole = _together(histograms)
            values = [round(whole.percentile_ms(percent), 1) for percent in _PERCENTILES]
            rows.append([label, kind, whole.count, *values, round(whole.max_ms, 1)])
    columns = ["offered", "from, to", "events", *(f"p{percent:g} ms" for percent in _PERCENTILES), "max ms"]
    return Table("latencies of all rounds together, from the instant when an event was due", columns, rows)


def cpu_table(steps: Steps) -> Table:
    """Cores by part, means of the rounds."""
    rows: list[list[Cell]] = [
        [
            label,
            *(round(sum(step.cpu.get(part, 0.0) for step in of_label) / len(of_label), 3) for part in _PARTS),
            round(max(step.peaks_mib.get("workers", 0.0) for step in of_label)),
        ]
        for label, of_label in steps.items()
    ]
    title = (
        "CPU by part until all was committed, for each second of load, in cores (other: what the machine did beside)"
    )
    return Table(title, ["offered", *_PARTS, "most MiB of a worker"], rows)


def accounts_table(steps: Steps) -> Table:
    """What became of every event."""
    rows: list[list[Cell]] = []
    for label, of_label in steps.items():
        lag = max(step.lag_records_max for step in of_label)
        counts = [step.latencies for step in of_label]
        rows.append(
            [
                label,
                sum(step.sent.events for step in of_label),
                sum(step.updates for step in of_label),
                sum(each.silent for each in counts),
                sum(each.netted + each.unseen for each in counts),
                sum(each.uncommitted for each in counts),
                lag,
                round(lag / of_label[0].rate, 3),
                round(max(step.caught_up_seconds for step in of_label), 2),
                round(max(step.sent.behind_ms_max for step in of_label), 1),
                "yes" if all(held(step) for step in of_label) else "no",
            ]
        )
    columns = ["offered", "events", "updates", "nobody is told", "netted to nothing", "not committed"]
    columns += ["most lag, records", "most lag, s", "caught up after s", "sender late by ms", "held"]
    return Table("what became of the events", columns, rows)


def curve(name: str, unit: str, rates: Sequence[float], rounds: Sequence[Sequence[float]]) -> Series:
    """A curve over the offered rates; for each rate what its rounds measured."""
    return Series(
        name=name,
        x_label="events/s offered",
        y_label=unit,
        x=list(rates),
        y=[median(of_rate) for of_rate in rounds],
        least=[min(of_rate) for of_rate in rounds],
        most=[max(of_rate) for of_rate in rounds],
        x_logarithmic=True,
    )


def notes() -> list[str]:
    """How to read the tables."""
    loop = (
        "Open loop: event n is due at start + n / rate, whatever became of the others, and every latency counts from "
    )
    loop += "then. The producer gathers for 2 ms (linger.ms) and waits for acks=all; both are within the latency."
    commit = f"Committed: found behind a lane's position by looks {LOOK_SECONDS * 1_000:.0f} ms apart, so at most that "
    commit += "much late. Stamp: changed_at, taken inside the transaction, before its COMMIT."
    seen = (
        "Seen: an update of the event's property and day, caused by it or by a later event of that day, was received. "
    )
    seen += "Events whose day nets to nothing within their batch have no update; they are counted apart."
    kept = (
        f"Held: p99 of event to update below {P99_SECONDS_MAX:g} s, and the backlog gone {CAUGHT_UP_SECONDS_MAX:g} s "
    )
    kept += "after the last event."
    return [loop, commit, seen, kept]


def _together(histograms: Sequence[Histogram]) -> Histogram:
    whole = Histogram()
    for each in histograms:
        whole.add(each)
    return whole

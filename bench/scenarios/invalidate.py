"""invalidate: sustained cache invalidation, to choose the batch size, the retries and whether to be defensive."""

import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Final

import structlog

from bench.form import Form
from bench.invalidation import defensive, outages, sustained
from bench.invalidation.advice import blocked_ms, cpu_us, groups_advised
from bench.invalidation.defensive import Defence, Race
from bench.invalidation.load import BATCH_DAYS, POPULATION_DAYS
from bench.invalidation.outages import Recovery
from bench.invalidation.reading import Reads
from bench.invalidation.sustained import Sustained
from bench.progress import Progress
from bench.results import Cell, Figure, ScenarioResult, Series, Table, figure
from bench.target import Target
from pipeline.settings import RedisSettings
from pipeline.stack.config import StackConfig

_TITLE: Final = "sustained cache invalidation: batch size, retries, defensive mode"
_GROUPS: Final = (10, 50, 200, 1_000)
_DAYS_FULL: Final = (1, 4, 40)
_PACED_FLOORS: Final = 10_000.0  # a second, with a reader beside: 20,000 events a second change about as many days
# Timeout of a command and the longest pause between attempts, in seconds; the product's are the first.
_RETRIES_FULL: Final = ((2.0, 5.0), (0.5, 5.0), (2.0, 1.0), (0.5, 1.0))
_VALUES: Final = [(10**9 + number, 1, date(2026, 1, 31)) for number in range(2_000)]


async def run(target: Target, form: Form, progress: Progress) -> ScenarioResult:
    """Against the real cache; outages only where it is ours to stop."""
    began = time.monotonic()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))  # the drain tells of each retry
    url, seconds = target.endpoints.redis_url, 4.0 if form.full else 1.0
    rounds = form.rounds_or(1, 3)
    quiet = await sustained.quiet(url, seconds)
    shapes: dict[tuple[int, int], list[Sustained]] = {}
    for number in range(1, rounds + 1):
        for days in _DAYS_FULL if form.full else (1,):
            for groups in _GROUPS:
                each = await sustained.sustained(url, groups, days, seconds, _PACED_FLOORS)
                shapes.setdefault((groups, days), []).append(each)
                progress.say(f"invalidate, round {number}: {told(each)}")
    with_values = await sustained.with_values(url, RedisSettings().invalidation_groups_max, _VALUES)
    recoveries = await _outages(target.directory, url, form, progress) if target.directory is not None else []
    groups_now = RedisSettings().invalidation_groups_max
    defence = await defensive.cost(url, groups_now, 100 if form.full else 30)
    race = await defensive.race(url, 20.0 if form.full else 3.0)
    progress.say(f"invalidate: {race.reads:,} reads raced {race.floors:,} floors: {race.stale} stale")
    advised = groups_advised([of_shape for (_, days), of_shape in shapes.items() if days == 1])
    return ScenarioResult(
        name="invalidate",
        title=_TITLE,
        figures=[
            *_figures(shapes, advised, defence, race, recoveries),
            figure("floors_per_second_dropping_values", "floors/s", [with_values], "more"),
        ],
        tables=[_shape_table(shapes, quiet), _outage_table(recoveries), _defence_table(defence, race)],
        series=_series(shapes),
        notes=[*advice(advised, groups_now, defence, race, recoveries), *_notes(target.directory is not None)],
        parameters={"rounds": rounds, "seconds a shape": seconds, "days a batch": BATCH_DAYS, "days": POPULATION_DAYS},
        seconds=time.monotonic() - began,
    )


async def _outages(directory: Path, url: str, form: Form, progress: Progress) -> list[Recovery]:
    config = StackConfig(directory, preferred_ports={})
    found = []
    for timeout_seconds, pause_max_seconds in _RETRIES_FULL if form.full else _RETRIES_FULL[::3]:
        settings = RedisSettings(timeout_seconds=timeout_seconds)
        for outage in (outages.Stall(config), outages.Restart(config)):
            each = await outages.survive(url, outage, 6.0 if form.full else 3.0, settings, pause_max_seconds)
            progress.say(f"invalidate: {each.outage}: caught up {each.caught_up_seconds:.2f} s after it was back")
            found.append(each)
    return found


def told(each: Sustained) -> str:
    """A line of progress."""
    return (
        f"{each.groups_max} properties of {each.days_per_property} days: {each.floors_per_second:,.0f} floors/s, "
        f"{each.client_cpu_us:.1f} + {each.server_cpu_us:.1f} µs a floor, readers' p99 {each.reads.p99_ms:.1f} ms"
    )


def advice(advised: int, groups_now: int, defence: Defence, race: Race, recoveries: Sequence[Recovery]) -> list[str]:
    """What the figures speak for, in words."""
    same = "as it is by default" if advised == groups_now else f"now {groups_now}"
    found = [f"FOLIO_REDIS_INVALIDATION_GROUPS_MAX: {advised} ({same})."]
    stale = race.stale + sum(each.stale for each in recoveries)
    extra = defence.twice_ms - defence.once_ms
    if stale:
        found.append(
            f"Defensive mode: {stale} stale reads were seen. The floors do not keep their promise: find out why."
        )
    else:
        found.append(
            f"Defensive mode: not needed. It would take {extra:.0f} ms more of a batch of {BATCH_DAYS:,} days, in the "
            f"transaction's way, and {defence.twice_cpu_us - defence.once_cpu_us:.0f} µs of CPU more a day; no read of "
            f"{race.reads:,} was behind a raised floor, and none of {sum(each.cached for each in recoveries):,} cached "
            "days after the outages."
        )
    if recoveries:
        best = min(recoveries, key=lambda each: each.caught_up_seconds)
        slowest = max(recoveries, key=lambda each: each.caught_up_seconds)
        found.append(
            f"Retries: between {best.caught_up_seconds:.1f} s (timeout {best.timeout_seconds:g} s, pauses up to "
            f"{best.pause_max_seconds:g} s) and {slowest.caught_up_seconds:.1f} s ({slowest.timeout_seconds:g} s, "
            f"{slowest.pause_max_seconds:g} s) after the cache was back everything was invalidated."
        )
    return found


def _notes(ours: bool) -> list[str]:
    loops = "floors/s: closed loop, one call at a time, as one writer does it, of days that nobody has asked for. "
    loops += f"Readers: another client's GET, open loop at 500/s, while {_PACED_FLOORS:,.0f} floors/s are raised."
    found = [loops, "Through the product's Invalidator, BalanceCache and Drain; only the outbox is a list."]
    if not ours:
        found.append("outages not measured here: they need a cache that is ours to stop")
    return found


def _figures(
    shapes: dict[tuple[int, int], list[Sustained]],
    advised: int,
    defence: Defence,
    race: Race,
    recoveries: Sequence[Recovery],
) -> list[Figure]:
    found = []
    for (groups, days), each in shapes.items():
        name = f"{groups}_groups_{days}_days"
        found.append(figure(f"floors_per_second_{name}", "floors/s", [one.floors_per_second for one in each], "more"))
        found.append(figure(f"floor_cpu_us_{name}", "µs/floor", [cpu_us([one]) for one in each], "less"))
        found.append(figure(f"readers_p99_ms_{name}", "ms", [one.reads.p99_ms for one in each], "less"))
    found.append(figure("groups_advised", "properties", [advised]))
    found.append(figure("defensive_extra_ms_a_batch", "ms", [defence.twice_ms - defence.once_ms], "less"))
    found.append(figure("stale_reads", "reads", [race.stale + sum(each.stale for each in recoveries)], "less"))
    if recoveries:
        found.append(
            figure("caught_up_after_outage_seconds", "s", [each.caught_up_seconds for each in recoveries], "less")
        )
    return found


def _shape_table(shapes: dict[tuple[int, int], list[Sustained]], quiet: Reads) -> Table:
    rows: list[list[Cell]] = [
        [None, None, None, None, None, None, None, None, quiet.p50_ms, quiet.p99_ms, quiet.max_ms]
    ]
    for (groups, days), of_shape in shapes.items():
        each = of_shape[-1]
        rows.append(
            [
                groups,
                days,
                round(each.floors_per_second),
                round(each.call_p50_ms, 2),
                round(each.call_p99_ms, 2),
                round(each.call_max_ms, 2),
                round(each.client_cpu_us, 2),
                round(each.server_cpu_us, 2),
                round(blocked_ms(of_shape), 2),
                each.reads.p50_ms,
                each.reads.p99_ms,
                each.reads.max_ms,
            ]
        )
    columns = ["properties a call", "days each", "floors/s", "call p50 ms", "call p99 ms", "call max ms"]
    columns += [
        "client µs a floor",
        "server µs a floor",
        "cache busy ms a call",
        "readers p50 ms",
        "readers p99 ms",
        "readers max ms",
    ]
    return Table("shapes of calls (first row: readers alone; last round)", columns, rows)


def _outage_table(recoveries: Sequence[Recovery]) -> Table:
    rows: list[list[Cell]] = [
        [
            each.outage,
            each.outage_seconds,
            each.timeout_seconds,
            each.pause_max_seconds,
            round(each.caught_up_seconds, 2),
            each.calls_failed,
            round(each.raised_share, 3),
            each.waiting_batches_max,
            "taken" if each.fill_in_flight_taken else "refused",
            each.cached,
            each.stale,
        ]
        for each in recoveries
    ]
    columns = ["the cache is", "for s", "timeout s", "pauses up to s", "caught up after s", "calls failed"]
    columns += [
        "floors raised / owed",
        "most batches waiting",
        "fill in flight",
        "days cached",
        "of these stale",
    ]
    return Table("outages, at 20 batches of 250 days a second", columns, rows)


def _defence_table(defence: Defence, race: Race) -> Table:
    rows: list[list[Cell]] = [
        ["once, after the commit", round(defence.once_ms, 1), round(defence.once_cpu_us, 1)],
        ["defensive: before and after", round(defence.twice_ms, 1), round(defence.twice_cpu_us, 1)],
    ]
    title = (
        f"what being defensive costs ({race.reads:,} reads, {race.hits:,} hits, {race.fills:,} fills and "
        f"{race.fills_refused:,} refused raced {race.floors:,} floors, once each: {race.stale} stale)"
    )
    return Table(title, ["mode", f"ms a batch of {BATCH_DAYS:,} days", "CPU µs a day, both sides"], rows)


def _series(shapes: dict[tuple[int, int], list[Sustained]]) -> list[Series]:
    found = []
    for days in dict.fromkeys(days for _, days in shapes):
        of_days = {groups: each for (groups, its_days), each in shapes.items() if its_days == days}
        rates = [sorted(one.floors_per_second for one in each) for each in of_days.values()]
        found.append(
            Series(
                f"floors a second, {days} days a property",
                "properties a call",
                "floors/s",
                [float(groups) for groups in of_days],
                [each[len(each) // 2] for each in rates],
                [each[0] for each in rates],
                [each[-1] for each in rates],
                x_logarithmic=True,
            )
        )
    return found

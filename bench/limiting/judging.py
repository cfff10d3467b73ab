"""From what the rounds measured to the limit: pure."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from bench.accounting import OTHER, PARTS
from bench.limiting.measuring import LimitRound
from bench.results import Cell, Figure, Stack, StackedBar, Table, figure

_SERVERS: Final = tuple(part for part in PARTS if part not in ("workers", "generator"))
_CONNECTIONS: Final = (1, 2, 4)
_BACKGROUND: Final = "background processes"  # WAL writer, checkpointer, autovacuum
_BETWEEN: Final = "between statements"
# Pieces of the bars, each wide enough for its name: what a stage or statement belongs to. The table has every one.
_FAMILIES: Final[Mapping[str, Sequence[str]]] = {
    "fetch": ("fetch", "serving fetches"),
    "decode": ("decode (judge)",),
    "read": ("fence", "known (reading)", "read balances", "read_", "probe_", "cluster_epoch", "paused_orgs", "BEGIN"),
    "decide": ("decide",),
    "carry": ("coalesce, carry",),
    "rows": ("event rows", "balance rows", "encode COPY"),
    "COPY": ("COPY",),
    "store": ("append_events",),
    "snapshots": ("append_snapshots", "upsert_snapshots"),
    "transactions": ("delete_moved", "append_revenues", "upsert_revenues", "append_expenses", "upsert_expenses"),
    "balances": ("append_balances", "upsert_balances"),
    "outbox": ("encode updates", "outbox", "append_outbox", "trim_outbox", "marks", "mark_lane"),
    "commit": ("commit", "COMMIT"),
    "publish": ("publish", "taking updates"),
    "floors": ("invalidate", "raising floors"),
    "background": ("background",),
}
NOTES: Final = [
    "Limit: the least of fetch and decode alone, of the same statements from memory, and of cores / CPU of all stages.",
    "Each stage is measured in a process that does one thing at a time, by its own CPU clock and its backends'.",
    "The generator is told and not counted: it has ended before a drain begins.",
    "`rest`: what a drain needs beyond its stages: event loop, gathering, sessions, metrics, smaller batches.",
]


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of an event's way, of one part."""

    part: str
    name: str


def stage_us(measured: LimitRound) -> dict[Stage, float]:
    """CPU of an event by stage, in µs."""
    fetched, staged = measured.fetched, measured.staged
    found: dict[Stage, float] = {}
    for alone in (fetched, staged):
        for name, seconds in _summed([each.stages for each in alone.done]).items():
            stage = Stage("workers", name)
            found[stage] = found.get(stage, 0.0) + seconds * 1e6 / alone.events
    statements = _summed([each.statements for each in staged.done])
    backends = sum(cpu for each in staged.done for cpu in each.backends)
    of_database = statements | {
        _BETWEEN: max(backends - sum(statements.values()), 0.0),
        _BACKGROUND: max(staged.servers.get("database", 0.0) - backends, 0.0),
    }
    found |= {Stage("database", name): seconds * 1e6 / staged.events for name, seconds in of_database.items()}
    found[Stage("broker", "serving fetches")] = fetched.servers.get("broker", 0.0) * 1e6 / fetched.events
    found[Stage("broker", "taking updates")] = staged.servers.get("broker", 0.0) * 1e6 / staged.events
    found[Stage("cache", "raising floors")] = staged.servers.get("cache", 0.0) * 1e6 / staged.events
    return {stage: us for stage, us in found.items() if us > 0}


def part_us(measured: LimitRound) -> dict[str, float]:
    """CPU of an event by part: the sum of its stages."""
    found: dict[str, float] = dict.fromkeys(("workers", *_SERVERS), 0.0)
    for stage, spent in stage_us(measured).items():
        found[stage.part] += spent
    return found


def limits(measured: LimitRound, cores: int) -> dict[str, float]:
    """The three, in events a second."""
    return {
        "fetch and decode alone": measured.fetched.events_per_second,
        "the same statements from memory": max(alone.events_per_second for alone in measured.fed.values()),
        "cores / CPU of all stages": cores * 1e6 / sum(part_us(measured).values()),
    }


def figures(rounds: Sequence[LimitRound], cores: int) -> list[Figure]:
    """Every number that the scenario gives."""

    def rate(name: str, of: Callable[[LimitRound], float]) -> Figure:
        return figure(name, "ev/s", [of(each) for each in rounds], "more")

    def least(measured: LimitRound) -> float:
        return min(limits(measured, cores).values())

    found = [
        rate("events_per_second", least),
        rate("drain_events_per_second", lambda each: each.drained.events_per_second),
        rate("fetch_decode_events_per_second", lambda each: each.fetched.events_per_second),
        rate("stages_events_per_second", lambda each: limits(each, cores)["cores / CPU of all stages"]),
        *(
            rate(f"from_memory_{count}_connections_events_per_second", partial(_best, connections=count))
            for count in _CONNECTIONS
            if any(shape.connections == count for shape in rounds[0].fed)
        ),
        figure(
            "drain_share_of_limit",
            "of limit",
            [each.drained.events_per_second / least(each) for each in rounds],
            "more",
        ),
        figure(
            "drain_share_of_limit_by_cpu",
            "of limit",
            [sum(part_us(each).values()) / each.drained.cpu_us_total for each in rounds],
            "more",
        ),
        figure("cpu_us_total", "µs/event", [sum(part_us(each).values()) for each in rounds], "less"),
        *(
            figure(f"cpu_us_{part}", "µs/event", [part_us(each)[part] for each in rounds], "less")
            for part in part_us(rounds[0])
        ),
        figure("drain_cpu_us_total", "µs/event", [each.drained.cpu_us_total for each in rounds], "less"),
        *(
            figure(f"rest_us_{part}", "µs/event", [each.drained.cpu_us(part) - part_us(each)[part] for each in rounds])
            for part in part_us(rounds[0])
        ),
    ]
    found += [
        figure(f"{stage.part}: {stage.name}", "µs/event", [stage_us(each).get(stage, 0.0) for each in rounds], "less")
        for stage in _stages(rounds)
    ]
    return found


def tables(rounds: Sequence[LimitRound], cores: int, generator_us: float) -> list[Table]:
    """Which limit is the least, where the CPU of an event goes, and what a drain needs beyond that."""
    return [_limits(rounds, cores), _by_stage(rounds, generator_us), _rest(rounds)]


def stacks(rounds: Sequence[LimitRound]) -> list[Stack]:
    """By part, the stages of an event, and beneath it what the drain of the same events took."""
    us = _medians(rounds)
    bars = []
    for part in ("workers", *_SERVERS):
        bars.append(StackedBar(part, _pieces({stage.name: spent for stage, spent in us.items() if stage.part == part})))
        bars.append(StackedBar(f"{part} in the drain", {"all": _drained(rounds, part)}))
    return [Stack("CPU of an event by stage", "µs", bars)]


def _limits(rounds: Sequence[LimitRound], cores: int) -> Table:
    named = [limits(each, cores) for each in rounds]
    medians = {name: statistics.median(each[name] for each in named) for name in named[0]}
    lowest = min(medians, key=lambda name: medians[name])
    last = rounds[-1]
    rows: list[list[Cell]] = [[name, median, None, None, _mark(name == lowest)] for name, median in medians.items()]
    rows[0][2:4] = [last.fetched.limited_by(cores), last.fetched.other_cores]
    for shape in last.fed:
        median = statistics.median(each.fed[shape].events_per_second for each in rounds)
        fed = last.fed[shape]
        rows.append([f"from memory: {shape.name}", median, fed.limited_by(cores), fed.other_cores, None])
    others = last.drained.cpu.get(OTHER, 0.0) / last.drained.seconds
    rows.append(["drain", statistics.median(each.drained.events_per_second for each in rounds), None, others, None])
    columns = ["measured", "ev/s", "held back, last round, by", "others' cores", "limit"]
    return Table("what the machine allows", columns, rows, in_text=True)


def _by_stage(rounds: Sequence[LimitRound], generator_us: float) -> Table:
    us = _medians(rounds)
    total = sum(us.values())
    rows: list[list[Cell]] = [[stage.part, stage.name, spent, spent / total] for stage, spent in us.items()]
    rows.append(["all", "sum of the stages", total, 1.0])
    rows.append(["generator", "not counted: it ended before", generator_us, None])
    return Table("CPU of an event by stage", ["part", "stage", "µs an event", "share"], rows)


def _rest(rounds: Sequence[LimitRound]) -> Table:
    rows: list[list[Cell]] = []
    for part in part_us(rounds[0]):
        by_stages = statistics.median(part_us(each)[part] for each in rounds)
        drained = _drained(rounds, part)
        rows.append([part, by_stages, drained, drained - by_stages])
    by_stages = statistics.median(sum(part_us(each).values()) for each in rounds)
    drained = statistics.median(each.drained.cpu_us_total for each in rounds)
    rows.append(["all", by_stages, drained, drained - by_stages])
    return Table("the stages and the drain", ["part", "stages, µs", "drain, µs", "rest, µs"], rows, in_text=True)


def _stages(rounds: Sequence[LimitRound]) -> list[Stage]:
    """Every stage of any round; workers first, and of each part the dearest first."""
    spent: dict[Stage, float] = {}
    for each in rounds:
        for stage, us in stage_us(each).items():
            spent[stage] = spent.get(stage, 0.0) + us
    order = ("workers", *_SERVERS)
    return sorted(spent, key=lambda stage: (order.index(stage.part), -spent[stage]))


def _medians(rounds: Sequence[LimitRound]) -> dict[Stage, float]:
    measured = [stage_us(each) for each in rounds]
    return {stage: statistics.median(each.get(stage, 0.0) for each in measured) for stage in _stages(rounds)}


def family(name: str) -> str:
    """The piece of a bar that a stage or a statement belongs to; `others` where nobody has named one."""
    found = (family for family, beginnings in _FAMILIES.items() if name.startswith(tuple(beginnings)))
    return next(found, "others")


def _pieces(stages: Mapping[str, float]) -> dict[str, float]:
    pieces = dict.fromkeys((*_FAMILIES, "others"), 0.0)
    for name, us in stages.items():
        pieces[family(name)] += us
    return {name: us for name, us in pieces.items() if us}


def _best(measured: LimitRound, connections: int) -> float:
    return max(alone.events_per_second for shape, alone in measured.fed.items() if shape.connections == connections)


def _drained(rounds: Sequence[LimitRound], part: str) -> float:
    return statistics.median(each.drained.cpu_us(part) for each in rounds)


def _summed(counted: Sequence[Mapping[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in counted:
        for name, seconds in each.items():
            found[name] = found.get(name, 0.0) + seconds
    return found


def _mark(lowest: bool) -> str | None:
    return "the least" if lowest else None

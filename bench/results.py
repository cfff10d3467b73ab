"""What a run of the benchmark found: one JSON document with a versioned schema, and its comparison with another.

A reader of version 1 may count on every name here; a change that breaks that makes version 2.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Final, Literal

import msgspec

from bench.environment import Environment
from bench.workload import Census, Workload

SCHEMA_VERSION: Final = 1

# Whatever changes a rate without a change of the code. Versions are said by the environment block.
_SAME_MACHINE: Final = ("cores", "cpu_model", "memory_mib", "filesystem", "local_stack", "server_settings", "settings")

# One machine differs by so much from one minute to the next.
_SPEED_RATIO_MAX: Final = 1.15
# Ranges of fewer rounds say nothing about noise.
_ROUNDS_MIN: Final = 3

Better = Literal["more", "less", "neither"]
Cell = str | float | int | None


class Figure(msgspec.Struct, frozen=True):
    """One number that was measured in every round. `better` says which way is better, if any."""

    name: str
    unit: str
    median: float
    least: float
    most: float
    rounds: list[float]
    better: Better = "neither"


class Series(msgspec.Struct, frozen=True):
    """A curve: how `y` goes with `x`. `least` and `most` are those of the rounds, where there were several."""

    name: str
    x_label: str
    y_label: str
    x: list[float]
    y: list[float]
    least: list[float] = []
    most: list[float] = []
    x_logarithmic: bool = False


class Table(msgspec.Struct, frozen=True):
    """Rows for people. Those that are short enough are in the text as well as in the report."""

    title: str
    columns: list[str]
    rows: list[list[Cell]]
    in_text: bool = False


class StackedBar(msgspec.Struct, frozen=True):
    """One bar of pieces, in the order in which they lie on it."""

    label: str
    pieces: dict[str, float]


class Stack(msgspec.Struct, frozen=True):
    """Bars of pieces, over one axis."""

    title: str
    unit: str
    bars: list[StackedBar]


class WorkloadStatement(msgspec.Struct, frozen=True):
    """What was sent: the description that makes it again, in words, and what was counted of it."""

    description: Workload
    distribution: str
    mixture: str
    census: Census
    generator_cpu_seconds: float


class Proof(msgspec.Struct, frozen=True):
    """What `folio verify` found after the last round. `differences` is None where it could not be proved."""

    differences: int | None
    summary: str
    seconds: float
    outcomes: dict[str, int] = {}


class ScenarioResult(msgspec.Struct, frozen=True):
    """One scenario. `missing` says why there is nothing of it, and all else is empty; `failed`: it was tried."""

    name: str
    title: str
    missing: str | None = None
    failed: bool = False
    workload: WorkloadStatement | None = None
    figures: list[Figure] = []
    tables: list[Table] = []
    series: list[Series] = []
    stacks: list[Stack] = []
    proof: Proof | None = None
    notes: list[str] = []
    parameters: dict[str, Cell] = {}
    seconds: float = 0.0

    def figure(self, name: str) -> Figure | None:
        """The figure of that name, if it was measured."""
        return next((figure for figure in self.figures if figure.name == name), None)


class Verdict(msgspec.Struct, frozen=True):
    """A target, and whether it was met; `met` is None where nothing was measured that could tell."""

    scenario: str
    target: str
    bound: str
    figure: str
    met: bool | None


class Results(msgspec.Struct, frozen=True):
    """A whole run."""

    schema_version: int
    form: str
    began_at: str  # RFC 3339, UTC
    seconds: float
    environment: Environment
    scenarios: list[ScenarioResult]
    verdicts: list[Verdict] = []

    def scenario(self, name: str) -> ScenarioResult | None:
        """The scenario of that name, if it was run and is not missing."""
        return next((each for each in self.scenarios if each.name == name and each.missing is None), None)


class Comparison(msgspec.Struct, frozen=True):
    """A figure of this run beside that of an earlier one. `ratio` is now to then; None where then was 0."""

    scenario: str
    figure: str
    unit: str
    then: float
    now: float
    ratio: float | None
    apart: bool  # the ranges of the rounds do not touch: more than noise, as far as the rounds can tell
    better: Better


class Compared(msgspec.Struct, frozen=True):
    """Two runs side by side."""

    comparisons: list[Comparison] = []
    unlike: list[str] = []


class ResultsRefusedError(Exception):
    """A file is no result that this code can read."""


def json_schema() -> dict[str, object]:
    """The schema of a result's document; docs/benchmark.schema.json is this."""
    return msgspec.json.schema(Results)


def figure(name: str, unit: str, rounds: Sequence[float], better: Better = "neither") -> Figure:
    """Median, least and most of what the rounds measured; at least one round."""
    return Figure(name, unit, statistics.median(rounds), min(rounds), max(rounds), list(rounds), better)


def write(results: Results, path: Path) -> None:
    """One JSON document, for people and programs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def read(path: Path) -> Results:
    """Raises ResultsRefusedError for what is no result, or of another version of the schema."""
    try:
        content = path.read_bytes()
        version = msgspec.json.decode(content, type=_Versioned).schema_version
        if version != SCHEMA_VERSION:
            raise ResultsRefusedError(f"{path}: schema version {version}; this code reads version {SCHEMA_VERSION}")
        return msgspec.json.decode(content, type=Results)
    except OSError as error:
        raise ResultsRefusedError(f"{path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ResultsRefusedError(f"{path} is no result of the benchmark: {error}") from error


def compare(now: Results, then: Results) -> Compared:
    """Every figure that both runs have, and in what else the runs differ."""
    comparisons = [
        comparison
        for scenario in now.scenarios
        if (earlier := then.scenario(scenario.name)) is not None
        for comparison in _compared(scenario, earlier)
    ]
    return Compared(comparisons, unlike(now, then))


def together(earlier: Results, now: Results) -> Results:
    """One run of two parts: scenarios that were run again are those of `now`. Its verdicts are still to be judged."""
    again = {each.name for each in now.scenarios}
    kept = [each for each in earlier.scenarios if each.name not in again]
    return msgspec.structs.replace(
        now,
        began_at=earlier.began_at,
        seconds=earlier.seconds + now.seconds,
        scenarios=[*kept, *now.scenarios],
        verdicts=[],
    )


def require_one_run(earlier: Results, form: str, environment: Environment) -> None:
    """Raises ResultsRefusedError where scenarios measured now would stand beside those of another code or machine."""
    now = Results(SCHEMA_VERSION, form, "", 0.0, environment, [])
    apart = [
        f"{name}: {old!r} then, {new!r} now"
        for name in ("form", "revision", *_SAME_MACHINE)
        if (old := _said(earlier, name)) != (new := _said(now, name))
    ]
    if apart:
        raise ResultsRefusedError(
            f"nothing was measured: --add continues a run, and this would be another ({'; '.join(apart)}). Write to "
            "another file (--results), and compare the two (--compare)"
        )


def unlike(now: Results, then: Results) -> list[str]:
    """In what the runs differ beside their figures: what was compared is only as alike as this is short."""
    found = [
        f"{name}: {old!r} then, {new!r} now"
        for name in ("form", *_SAME_MACHINE)
        if (old := _said(then, name)) != (new := _said(now, name))
    ]
    was, is_ = then.environment.million_loops_per_second, now.environment.million_loops_per_second
    if was is not None and is_ is not None and max(was, is_) > min(was, is_) * _SPEED_RATIO_MAX:
        found.append(f"speed of a core: {was:.1f} million loops a second then, {is_:.1f} now")
    for scenario in now.scenarios:
        earlier = then.scenario(scenario.name)
        if earlier is not None and _workload_of(earlier) != _workload_of(scenario):
            found.append(f"{scenario.name}: another workload")
        elif earlier is not None and earlier.parameters != scenario.parameters:
            found.append(f"{scenario.name}: {earlier.parameters} then, {scenario.parameters} now")
    return found


def _said(results: Results, name: str) -> object:
    return results.form if name == "form" else getattr(results.environment, name)


def _workload_of(scenario: ScenarioResult) -> Workload | None:
    """Without its day: the same workload is made anew each day."""
    if scenario.workload is None:
        return None
    return replace(scenario.workload.description, today=date.min)


class _Versioned(msgspec.Struct):
    schema_version: int


def _compared(now: ScenarioResult, then: ScenarioResult) -> Iterable[Comparison]:
    for new in now.figures:
        old = then.figure(new.name)
        if old is None or old.unit != new.unit:
            continue
        ratio = new.median / old.median if old.median else None
        enough = min(len(new.rounds), len(old.rounds)) >= _ROUNDS_MIN
        apart = enough and (new.least > old.most or new.most < old.least)
        yield Comparison(now.name, new.name, new.unit, old.median, new.median, ratio, apart, new.better)

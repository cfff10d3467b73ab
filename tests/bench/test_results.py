"""Results survive a file, and are compared only where they mean the same."""

import json
from datetime import date
from pathlib import Path

import jsonschema
import msgspec
import pytest

from bench.results import (
    Comparison,
    ResultsRefusedError,
    ScenarioResult,
    WorkloadStatement,
    compare,
    figure,
    json_schema,
    read,
    require_one_run,
    together,
    write,
)
from bench.workload import Census, mixed
from tests.bench.made import rate, results, scenario


def test_a_figure_is_the_median_with_its_range() -> None:
    found = rate(30, 10, 20)
    assert (found.median, found.least, found.most, found.rounds) == (20, 10, 30, [30, 10, 20])


def test_written_and_read_again(tmp_path: Path) -> None:
    run = results(scenario("drain", rate(1, 2, 3)), scenario("peers", missing="not installed"))
    write(run, tmp_path / "new" / "run.json")
    assert read(tmp_path / "new" / "run.json") == run


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write(msgspec.structs.replace(results(), schema_version=2), path)
    with pytest.raises(ResultsRefusedError, match="schema version 2"):
        read(path)


@pytest.mark.parametrize("content", ["{", "{}", '{"schema_version": 1}'])
def test_what_is_no_result_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(content)
    with pytest.raises(ResultsRefusedError, match=r"run\.json"):
        read(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsRefusedError, match="No such file"):
        read(tmp_path / "none.json")


def compared(now: list[float], then: list[float]) -> Comparison:
    [found] = compare(results(scenario("drain", rate(*now))), results(scenario("drain", rate(*then)))).comparisons
    return found


def test_the_ratio_is_now_to_then() -> None:
    assert compared([20], [10]).ratio == 2
    assert compared([20], [0]).ratio is None


def test_ranges_that_touch_are_noise() -> None:
    assert compared([11, 12, 13], [8, 9, 10]).apart
    assert compared([5, 6, 7], [8, 9, 10]).apart
    assert not compared([10, 12, 13], [8, 9, 10]).apart
    assert not compared([20, 21], [8, 9, 10]).apart


def test_figures_of_other_units_and_missing_scenarios_are_not_compared() -> None:
    now = results(scenario("drain", rate(1)), scenario("live", rate(1)))
    then = results(
        scenario("drain", figure("events_per_second", "events/min", [1])), scenario("live", missing="not made yet")
    )
    assert compare(now, then).comparisons == []


def described(events: int, today: date) -> ScenarioResult:
    workload = mixed(events, today=today)
    stated = WorkloadStatement(workload, workload.distribution, workload.mixture, Census(), 0.0)
    return msgspec.structs.replace(scenario("drain", rate(1)), workload=stated)


def test_the_same_workload_on_another_day_is_alike() -> None:
    one, other = (results(described(1_000, date(2026, 1, day))) for day in (1, 2))
    assert compare(one, other).unlike == []


def test_another_workload_machine_or_form_is_told() -> None:
    one, other = (results(described(events, date(2026, 1, 1))) for events in (1_000, 2_000))
    faster = msgspec.structs.replace(other.environment, cores=8)
    other = msgspec.structs.replace(other, form="full", environment=faster)
    assert compare(one, other).unlike == [
        "form: 'full' then, 'short' now",
        "cores: 8 then, 2 now",
        "drain: another workload",
    ]


@pytest.mark.parametrize(
    ("then", "told"), [(14.0, []), (30.0, ["speed of a core: 30.0 million loops a second then, 14.2 now"]), (None, [])]
)
def test_a_machine_of_another_speed_is_told(then: float | None, told: list[str]) -> None:
    now = results(scenario("drain", rate(1)))
    earlier = msgspec.structs.replace(
        now, environment=msgspec.structs.replace(now.environment, million_loops_per_second=then)
    )
    assert compare(now, earlier).unlike == told


def test_other_parameters_are_told() -> None:
    one, other = (
        results(msgspec.structs.replace(scenario("drain", rate(1)), parameters={"workers": workers}))
        for workers in (1, 2)
    )
    assert compare(one, other).unlike == ["drain: {'workers': 2} then, {'workers': 1} now"]


def test_the_committed_schema_is_that_of_the_results() -> None:
    """Remade by `python -c 'import json, bench.results; print(json.dumps(bench.results.json_schema(), indent=1))'`."""
    committed = json.loads((Path(__file__).parents[2] / "docs" / "benchmark.schema.json").read_text())
    assert committed == json_schema()


def test_a_result_is_what_the_schema_says(tmp_path: Path) -> None:
    write(
        results(described(1_000, date(2026, 1, 1)), scenario("peers", missing="not installed")), tmp_path / "run.json"
    )
    jsonschema.validate(json.loads((tmp_path / "run.json").read_text()), json_schema())


def test_a_run_in_parts_holds_each_scenario_once_the_newest() -> None:
    first = results(scenario("drain", rate(1, 2, 3)), scenario("live", rate(5)))
    second = results(scenario("live", rate(7)), scenario("limit", rate(9)))
    whole = together(first, second)
    assert [(each.name, each.figures[0].median) for each in whole.scenarios] == [
        ("drain", 2),
        ("live", 7),
        ("limit", 9),
    ]
    assert (whole.began_at, whole.seconds) == (first.began_at, first.seconds + second.seconds)


@pytest.mark.parametrize(("field", "value"), [("revision", "another"), ("cores", 64), ("settings", {"FOLIO_X": "1"})])
def test_a_run_is_not_continued_by_another_code_or_machine(field: str, value: object) -> None:
    first = results(scenario("drain", rate(1)))
    require_one_run(first, "short", first.environment)
    with pytest.raises(ResultsRefusedError, match=f"{field}: .* then, .* now"):
        require_one_run(first, "short", msgspec.structs.replace(first.environment, **{field: value}))
    with pytest.raises(ResultsRefusedError, match="form: 'short' then, 'full' now"):
        require_one_run(first, "full", first.environment)


def test_what_changes_from_hour_to_hour_does_not_part_a_run() -> None:
    first = results(scenario("drain", rate(1)))
    require_one_run(first, "short", msgspec.structs.replace(first.environment, load_average=99.0))

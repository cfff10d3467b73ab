"""Results survive a file, and are compared only where they mean the same."""

from pathlib import Path

import msgspec
import pytest

from bench.results import Comparison, ResultsRefusedError, compare, figure, read, write
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
    [found] = compare(results(scenario("drain", rate(*now))), results(scenario("drain", rate(*then))))
    return found


def test_the_ratio_is_now_to_then() -> None:
    assert compared([20], [10]).ratio == 2
    assert compared([20], [0]).ratio is None


def test_ranges_that_touch_are_noise() -> None:
    assert compared([11, 12, 13], [8, 9, 10]).apart
    assert compared([5, 6, 7], [8, 9, 10]).apart
    assert not compared([10, 12, 13], [8, 9, 10]).apart


def test_figures_of_other_units_and_missing_scenarios_are_not_compared() -> None:
    now = results(scenario("drain", rate(1)), scenario("live", rate(1)))
    then = results(
        scenario("drain", figure("events_per_second", "events/min", [1])), scenario("live", missing="not made yet")
    )
    assert compare(now, then) == []

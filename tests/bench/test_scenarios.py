"""Scenarios are found by name; what nobody has made yet, or fails, is said to be missing and stops nothing."""

from pathlib import Path

import pytest

from bench import running
from bench.__main__ import exit_code, main
from bench.environment import environment
from bench.form import Form
from bench.progress import Progress
from bench.results import ScenarioResult
from bench.scenarios import SCENARIOS, Run, find
from bench.target import Target
from pipeline import settings as settings_module
from pipeline.cli import bench as command
from pipeline.errors import SettingsRefused
from pipeline.exits import EXIT_CANNOT, EXIT_DIFFERENT, EXIT_OK
from pipeline.stack import Endpoints
from tests.bench.made import ENVIRONMENT, rate, results, scenario

TARGET = Target(Endpoints("", "", ""), settings_module.load({}), Progress(), local=False)


async def works(_target: Target, _form: Form, _progress: Progress) -> ScenarioResult:
    return scenario("drain", rate(1))


async def breaks(_target: Target, _form: Form, _progress: Progress) -> ScenarioResult:
    raise OSError("no disk left")


async def test_a_scenario_that_fails_does_not_take_the_others_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Run | None] = {"drain": works, "live": breaks, "scale": None}

    async def around(_target: Target) -> object:
        return ENVIRONMENT

    monkeypatch.setattr(running, "find", made.get)
    monkeypatch.setattr(running, environment.__name__, around)
    found = await running.run_all(TARGET, ["live", "scale", "drain"], Form(), Progress())
    assert [each.missing for each in found.scenarios] == ["failed: OSError: no disk left", "not made yet", None]
    assert exit_code(found) == EXIT_CANNOT
    assert found.verdicts


def test_wrong_books_weigh_more_than_what_failed_and_slow_ones_nothing() -> None:
    good, wrong = scenario("drain", rate(1), differences=0), scenario("live", differences=2)
    unproven, absent = scenario("limit", differences=None), scenario("peers", missing="not made yet")
    assert exit_code(results(good, absent)) == EXIT_OK
    assert exit_code(results(good, unproven)) == EXIT_CANNOT
    assert exit_code(results(good, unproven, wrong)) == EXIT_DIFFERENT


def test_what_is_there_can_be_called() -> None:
    found = [name for name in SCENARIOS if find(name) is not None]
    assert {"drain", "creations"} <= set(found)


def test_forms_choose_and_the_command_line_overrides() -> None:
    assert Form("short").events_or(1, 2) == 1
    assert Form("full").events_or(1, 2) == 2
    assert Form("full", events=7, rounds=9).events_or(1, 2) == 7
    assert Form("full", events=7, rounds=9).rounds_or(1, 2) == 9


def test_an_unknown_scenario_is_refused_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["drian"])
    assert ended.value.code == EXIT_CANNOT
    assert "drian" in capsys.readouterr().err


def test_an_earlier_result_that_cannot_be_read_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["drain", "--compare", str(tmp_path / "none.json")]) == EXIT_CANNOT
    assert "none.json" in capsys.readouterr().err


def test_folio_bench_says_where_the_benchmark_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an installed wheel, which has none."""
    monkeypatch.setattr(command, "_CHECKOUT", tmp_path)
    with pytest.raises(SettingsRefused, match="make bench"):
        command.bench("drain")

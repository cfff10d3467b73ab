"""Two thousand runs of the worker's real code, each with other troubles at other moments, and each replayable."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
SEEDS: Final = 2_000
FAILED_ONCE: Final = (3319, 7820, 51693, 201709)  # what each found stands in docs/reliability.md
PARTS: Final = 8  # each a test of its own, so that they share the cores with the others


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    # In processes of their own: the order of sets is fixed when an interpreter starts.
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_seed_keeps_every_promise(part: int) -> None:
    each = SEEDS // PARTS
    done = run("--first", str(part * each), "--seeds", str(each), "--jobs", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"simulation: {each} seeds" in done.stdout


@pytest.mark.parametrize("seed", FAILED_ONCE)
def test_a_seed_that_failed_once_does_not_any_more(seed: int) -> None:
    done = run("--first", str(seed), "--seeds", "1", "--jobs", "1")
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_integer_replays_a_run_bit_for_bit() -> None:
    once, again, another = run("--seed", "11"), run("--seed", "11"), run("--seed", "12")
    assert once.stdout == again.stdout, once.stderr
    assert digest(once.stdout) != digest(another.stdout)


def test_a_run_is_the_same_whatever_ran_before_it() -> None:
    """What is left of a killed worker must not end in the middle of the next run."""
    several = (
        "from tests.simulation.__main__ import _quiet; _quiet()\n"
        "from tests.simulation.plan import plan_of\n"
        "from tests.simulation.world import simulate\n"
        "for seed in (11, 68, 128, 129): verdict = simulate(plan_of(seed))\n"
        "print('digest', verdict.digest)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [sys.executable, "-c", several], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert digest(done.stdout) == digest(run("--seed", "129").stdout)


def digest(told: str) -> str:
    found = re.search(r"digest (\w+)", told)
    assert found is not None, told
    return found[1]

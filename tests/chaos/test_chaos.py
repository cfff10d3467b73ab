"""A selection of the campaign, on real servers and workers: `make chaos` runs all of it."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
# One of each theme, the worst ones; and two at once.
SELECTION: Final = (
    "worker_a_zombie",
    "commit_answer_lost",
    "failover_lost_tail",
    "contradictions",
    "worker_killed+database_killed",
)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_nothing_is_lost_and_nothing_doubled_whatever_strikes() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--seed", "1", "--kinds", ",".join(SELECTION), "--minutes", "8"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("chaos: 4 kinds and 1 pairs of faults, 1 seeds, 5 trials"), last
    assert "0 differences" in last
    assert "0 failed" in last

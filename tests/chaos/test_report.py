"""The report counts what happened, and a failure is in every form of it."""

import json
from pathlib import Path

from tests.chaos.campaign import Results
from tests.chaos.plan import Strike
from tests.chaos.report import summary, write
from tests.chaos.trial import Outcome


def strike(name: str, seed: int = 1) -> Strike:
    return Strike(seed, name, events_per_second=1_000, before_seconds=1, gap_seconds=0)


def results() -> Results:
    return Results(
        [
            Outcome(
                strike("failover"), "timeline 2", events=4_000, sent=2_000, recovery_seconds=3.5, takeover_seconds=6.25
            ),
            Outcome(
                strike("failover", 2), "timeline 3", events=9_000, sent=3_000, recovery_seconds=1.5, takeover_seconds=4
            ),
            Outcome(strike("nul+cache_killed"), "20 dead letters", events=5_000, recovery_seconds=9.0),
            Outcome(strike("worker_killed"), failure="PromiseBroken: 3 differences"),
        ],
        [strike("disk_full", 2)],
        events=18_000,
        seconds=90,
    )


def test_the_last_line_says_it_all() -> None:
    assert summary(results()) == (
        "chaos: 2 kinds and 1 pairs of faults, 2 seeds, 4 trials, 18,000 events reconciled, 0 differences, "
        "slowest recovery 9.0 s (nul+cache_killed), slowest failover 6.2 s, 1 not run for want of time, 1 failed "
        "(1.5 min)"
    )


def test_markdown_has_a_row_for_each_kind_and_what_failed(tmp_path: Path) -> None:
    write(results(), tmp_path / "chaos.md")
    lines = (tmp_path / "chaos.md").read_text().splitlines()
    assert "| failover | 2 | 0 | 5,000 | 2.5, 3.5 | 6.2 | timeline 3 |" in lines
    assert "| worker_killed | 1 | 1 | 0 |  |  |  |" in lines
    assert "    PromiseBroken: 3 differences" in lines
    assert "Not run: disk_full (seed 2)" in lines


def test_json_for_programs(tmp_path: Path) -> None:
    write(results(), tmp_path / "chaos.json")
    document = json.loads((tmp_path / "chaos.json").read_text())
    assert document["events"] == 18_000
    assert [outcome["failure"] for outcome in document["outcomes"]] == [
        None,
        None,
        None,
        "PromiseBroken: 3 differences",
    ]

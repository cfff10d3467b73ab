"""Crash points are reached where they are named, and kill as a power cut would."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.crash import PARTITION_POINTS, POINTS, crash_point
from pipeline.errors import SettingsRefused

REPOSITORY = Path(__file__).parents[2]


def test_every_point_is_reached_by_the_code_and_every_reached_one_is_a_point() -> None:
    reached = [
        point
        for source in (REPOSITORY / "batchers").glob("*.py")
        for point in re.findall(r"self\._reach\(\"(\w+)\"\)", source.read_text(encoding="utf-8"))
    ]
    assert sorted(reached) == sorted(POINTS)


def test_every_point_of_the_months_is_reached_by_their_maintenance() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "pipeline/maintenance").rglob("*.py"))
    reached = re.findall(r"(?:reach\(|point=)\"(\w+)\"", source)
    assert sorted(reached) == sorted(PARTITION_POINTS)


@pytest.mark.parametrize(
    "where",
    [
        "",
        "nowhere",
        "fenced:x",
        "fenced:-1",
        "fenced:1:2",
        "Fenced",
        ":2",
        "fenced:0",
    ],
)
def test_an_unknown_point_is_refused_with_the_known_ones(where: str) -> None:
    with pytest.raises(SettingsRefused, match=r"FOLIO_WORKER_CRASH_AT=.*fenced.*POINT:N"):
        crash_point(where)


def test_without_a_point_nothing_happens() -> None:
    reach = crash_point(None)
    for point in POINTS:
        reach(point)


@pytest.mark.parametrize(
    ("where", "survived"), [("read", ["fenced"]), ("read:2", ["fenced", "read", "fenced"]), ("published", None)]
)
def test_a_worker_kills_itself_at_the_point_and_not_before(where: str, survived: list[str] | None) -> None:
    program = (
        "import sys\n"
        "from pipeline.crash import crash_point\n"
        "reach = crash_point(sys.argv[1])\n"
        "for point in ['fenced', 'read'] * 3:\n"
        "    reach(point)\n"
        "    print(point, flush=True)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, where], cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False
    )
    if survived is None:
        assert (ended.returncode, len(ended.stdout.split())) == (0, 6)
        return
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.split() == survived
    assert ended.stderr == "crash point reached: read\n"

"""Several workers: started, started again when they crash, stopped together. The workers here are a small script."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.exits import EXIT_FATAL
from tests.support.waiting import until

REPOSITORY = Path(__file__).parents[2]
# The supervisor starts `python -m pipeline.cli run`: with another "python" it starts what a test needs.
DRIVER = (
    "import sys\n"
    "from pipeline.supervisor import supervise\n"
    "sys.executable = sys.argv[1]\n"
    "sys.exit(supervise(int(sys.argv[2]), int(sys.argv[3]), 1.0))\n"
)
# Tells its process id, port and arguments; the first one ends as the plan says, where there is one.
WORKER = """#!/bin/sh
here=$(dirname "$0")
echo "$$ $FOLIO_WORKER_METRICS_PORT $*" >> "$here/started"
if [ -d "$here/plan" ] && mkdir "$here/plan/taken" 2>/dev/null; then exit "$(cat "$here/plan/exit")"; fi
trap 'echo $$ >> "$here/stopped"; exit 0' TERM
while :; do sleep 0.05; done
"""


class Supervised:
    """A supervisor under test, and what its workers told."""

    def __init__(self, folder: Path, process: "subprocess.Popen[bytes]") -> None:
        self.folder = folder
        self.process = process

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    async def started(self, count: int) -> list[str]:
        async def there() -> bool:
            return len(self.lines("started")) >= count

        await until(there, 20)
        return self.lines("started")

    async def ended(self) -> int:
        async def over() -> bool:
            return self.process.poll() is not None

        await until(over, 20)
        return int(self.process.returncode)

    def alive(self) -> list[int]:
        return [pid for pid in (int(line.split()[0]) for line in self.lines("started")) if _runs(pid)]


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@contextmanager
def supervised(
    folder: Path, workers: int = 2, metrics_port: int = 0, first_exit: int | None = None
) -> Iterator[Supervised]:
    """A supervisor; the first worker to come ends at once with `first_exit`, the others run until told to stop."""
    worker = folder / "python"
    worker.write_text(WORKER)
    worker.chmod(0o755)
    if first_exit is not None:
        (folder / "plan").mkdir()
        (folder / "plan" / "exit").write_text(str(first_exit))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(worker), str(workers), str(metrics_port)],
            cwd=REPOSITORY,
            stdout=log,
            stderr=log,
        )
    scene = Supervised(folder, process)
    try:
        yield scene
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pid in scene.alive():
            os.kill(pid, signal.SIGKILL)


async def test_each_worker_is_a_process_with_a_port_of_its_own(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=3, metrics_port=9_100) as scene:
        started = await scene.started(3)
    assert sorted(line.split()[1] for line in started) == ["9100", "9101", "9102"]
    assert {line.split(maxsplit=2)[2] for line in started} == {"-m pipeline.cli run --workers 1 --until-stdin-ends"}


async def test_sigterm_stops_every_worker_in_order(tmp_path: Path) -> None:
    with supervised(tmp_path) as scene:
        await scene.started(2)
        scene.process.send_signal(signal.SIGTERM)
        assert await scene.ended() == 0
        assert len(scene.lines("stopped")) == 2
        assert scene.alive() == []


async def test_a_worker_that_crashes_is_started_again_and_its_neighbour_goes_on(tmp_path: Path) -> None:
    with supervised(tmp_path, first_exit=137) as scene:
        started = await scene.started(3)
        assert scene.process.poll() is None
        assert len(scene.alive()) == 2
        assert len({line.split()[0] for line in started}) == 3
        assert scene.lines("stopped") == []


async def test_a_worker_that_an_operator_must_mend_ends_them_all(tmp_path: Path) -> None:
    with supervised(tmp_path, first_exit=EXIT_FATAL) as scene:
        assert await scene.ended() == EXIT_FATAL
        assert scene.alive() == []
        assert len(scene.lines("started")) == 2

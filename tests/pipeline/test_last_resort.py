"""A process that was told to stop ends, whatever in it does not."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pipeline.exits import EXIT_CANNOT, EXIT_FATAL

REPOSITORY = Path(__file__).resolve().parents[2]
# As a library does that loses a cancellation: a task group then waits for ever, and cancelling it again is in vain.
STUCK = """
    import asyncio, contextlib
    from pipeline.last_resort import LastResort

    async def deaf_to_its_first_cancellation():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await never_ends()

    async def never_ends():
        await asyncio.Event().wait()

    async def group():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(deaf_to_its_first_cancellation(), name="the deaf one")

    async def main(seconds):
        LastResort(asyncio.get_running_loop()).arm(seconds)
        working = asyncio.create_task(group())
        await asyncio.sleep(0.1)
        for _ in range(3):
            working.cancel()
            await asyncio.wait([working], timeout=0.1)
        if ENDS:
            return
        await working
"""


def run(*, ends: bool, seconds: float) -> "subprocess.CompletedProcess[str]":
    text = textwrap.dedent(STUCK).replace("ENDS", str(ends)) + f"\nasyncio.run(main({seconds}))\n"
    if ends:  # asyncio.run would wait for what is left
        text = text.replace("asyncio.run(main(", "asyncio.new_event_loop().run_until_complete(main(")
    command = [sys.executable, "-W", "ignore", "-c", text]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False)


def test_a_process_whose_tasks_do_not_end_is_ended_and_says_which() -> None:
    done = run(ends=False, seconds=1)
    assert done.returncode == 2, done.stderr
    assert "the worker does not end" in done.stdout
    assert "the deaf one at" in done.stdout
    assert "never_ends" in done.stdout.split("the deaf one at")[1]  # where it waits, not where it was started


def test_a_process_that_ends_in_time_is_left_alone() -> None:
    done = run(ends=True, seconds=20)
    assert done.returncode == 0, done.stderr
    assert "does not end" not in done.stdout


# A worker of `folio run` in which something is deaf, and which is told to stop, or cannot go on.
DEAF_WORKER = """
    import asyncio, os, signal
    from pipeline.cli import run
    from pipeline.errors import SchemaMismatch

    async def deaf():
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                pass

    async def work(worker):
        os.kill(os.getpid(), signal.SIGTERM)
        await deaf()

    async def fail(worker):
        asyncio.create_task(deaf(), name="the deaf one")
        await asyncio.sleep(0)
        raise SchemaMismatch("what no worker can mend")

    run.Worker.run = MAIN
    run._LAST_RESORT_SECONDS = 0.2
    run.run()
"""
# Of servers that nobody asks for anything.
SETTINGS = {
    "FOLIO_DATABASE_URL": "postgresql://127.0.0.1:1/folio",
    "FOLIO_KAFKA_BOOTSTRAP": "127.0.0.1:1",
    "FOLIO_REDIS_URL": "redis://127.0.0.1:1/0",
    "FOLIO_WORKER_SHUTDOWN_GRACE_SECONDS": "1",
}


@pytest.mark.parametrize(
    ("main", "code", "reason"),
    [("work", EXIT_CANNOT, "it was told to stop"), ("fail", EXIT_FATAL, "what no worker can mend")],
    ids=["told to stop", "cannot go on"],
)
def test_a_worker_with_a_deaf_task_ends_all_the_same(main: str, code: int, reason: str) -> None:
    text = textwrap.dedent(DEAF_WORKER).replace("MAIN", main)
    command = [sys.executable, "-W", "ignore", "-c", text]
    environment = os.environ | SETTINGS
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == code, done.stderr
    assert "the worker does not end" in done.stderr
    assert "deaf" in done.stderr
    assert reason in done.stderr

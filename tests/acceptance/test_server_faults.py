"""The database, the broker and the cache killed under load, each in turn: nothing stops for good, nothing is lost."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import pytest

from pipeline.stack import StackConfig
from pipeline.stack.stack import up
from pipeline.stack.temporary import temporary_stack
from pipeline.storage.migrate import migrate
from tests.acceptance.test_membership import creations
from tests.support.starting import spawned
from tests.support.stream import Stream, new_topics

_PARTS = ("valkey", "postgres", "kafka")


def _kill(directory: Path, part: str) -> None:
    """SIGKILL the server's process, which the stack has written down."""
    record = json.loads((directory / "stack.json").read_text())
    os.kill(record["parts"][part]["process"]["pid"], signal.SIGKILL)


@pytest.mark.timeout(180)
async def test_each_server_killed_and_started_again_under_load(tmp_path: Path) -> None:
    directory = tmp_path / "stack"
    with temporary_stack(directory) as endpoints:
        connection = await asyncpg.connect(endpoints.database_url)
        await migrate(connection)
        await connection.close()
        stream = Stream(
            endpoints, "faults.", 2, tmp_path, {"BATCH_ROWS_MAX": "100", "WORKER_BACKOFF_MAX_SECONDS": "1"}, spawned
        )
        await new_topics(endpoints, stream.prefix, stream.lanes)
        with stream.worker() as worker:
            await worker.wait_for_log("lanes claimed")
            sent = 0
            for part in _PARTS:
                await stream.send(creations(1 + sent, 1_000))
                sent += 1_000
                _kill(directory, part)
                if part == "valkey":
                    # A lost cache holds back neither the books nor the updates.
                    await _until_published(stream, sent)
                await asyncio.sleep(1)  # long enough for the worker to meet the dead server
                await asyncio.to_thread(up, StackConfig(directory, preferred_ports={}))
            await stream.send(creations(1 + sent, 1_000))
            await stream.wait_until_consumed(sent + 1_000, seconds=60)
            assert worker.exit_code is None, "the worker lived through all of it"
            shown = worker.metrics()
            circuits = [shown[f'folio_circuit_state{{part="{part}"}}'] for part in ("redis", "postgres", "kafka")]
            assert circuits == [0, 0, 0], "every circuit has closed by itself"
            assert await worker.stop() == 0
        report = await stream.prove()
    assert report.exit_code == 0, report
    assert report.events == sent + 1_000


@pytest.mark.timeout(120)
async def test_a_shutdown_ends_with_the_grace_even_when_no_server_answers(tmp_path: Path) -> None:
    directory = tmp_path / "stack"
    with temporary_stack(directory) as endpoints:
        connection = await asyncpg.connect(endpoints.database_url)
        await migrate(connection)
        await connection.close()
        stream = Stream(
            endpoints, "frozen.", 2, tmp_path, {"BATCH_ROWS_MAX": "50", "WORKER_SHUTDOWN_GRACE_SECONDS": "4"}, spawned
        )
        await new_topics(endpoints, stream.prefix, stream.lanes)
        await stream.send(creations(1, 5_000))
        with stream.worker() as worker:
            await worker.wait_for_log("lanes claimed")
            frozen = _processes(directory, _PARTS)
            _signal(frozen, signal.SIGSTOP)
            try:
                started = time.monotonic()
                assert await worker.stop() == 0
                assert time.monotonic() - started < 4 + 2, worker.log
            finally:
                _signal(frozen, signal.SIGCONT)
        with stream.worker() as heir:
            await stream.wait_until_consumed(5_000)
            assert await heir.stop() == 0
        report = await stream.prove()
    assert report.exit_code == 0, report


def _processes(directory: Path, parts: Sequence[str]) -> list[int]:
    """The servers' processes, PostgreSQL's backends among them."""
    record = json.loads((directory / "stack.json").read_text())
    found = [record["parts"][part]["process"]["pid"] for part in parts]
    for pid in found:  # grows while it is read: children of children
        # A backend of PostgreSQL may end between being listed and being looked at.
        with contextlib.suppress(FileNotFoundError):
            found += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return found


def _signal(processes: Sequence[int], number: signal.Signals) -> None:
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


async def _until_published(stream: Stream, records: int) -> None:
    async with asyncio.timeout(30):
        while True:
            async with stream.database() as connection:
                row = await connection.fetchrow(
                    "SELECT sum(applied) AS applied, sum(outbox_seq - published_seq) AS unpublished FROM ops.lanes"
                )
            if row is not None and row["applied"] == records and row["unpublished"] == 0:
                return
            await asyncio.sleep(0.1)

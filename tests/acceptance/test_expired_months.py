"""Months leave a real stream, under a worker that takes their records for retained: the books are proved all the same.

The worker keeps 24 months and the clean-up three, which is what a worker is that lags by 21 months: whatever comes for
a month that has left is of a record that was appended before. Such a worker would have recorded three months as well.
"""

import gzip
import subprocess
from datetime import UTC, datetime, timedelta

from pipeline.months import month_of, months_after, start_of
from tests.support.events import encoded, event
from tests.support.stream import Message, Stream

NOW = datetime.now(UTC)
GONE = start_of(months_after(month_of(NOW), -5)) + timedelta(days=3)
KEPT = NOW - timedelta(hours=1)
SHORT = {"BATCH_RETENTION_MONTHS": "3"}


def on(number: int, version: int, at: datetime, **changes: object) -> Message:
    return b"1", encoded(event(number, version, at=at, **changes))  # type: ignore[arg-type]  # fields of an event, by their names


async def expire(stream: Stream, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Take away what is older than three months, as if the workers had recorded that they keep no more."""
    async with stream.database() as connection:
        await connection.execute("UPDATE ops.lanes SET retention_months = 3")
        applied = stream.folio("partitions", "apply", *arguments, **SHORT)
        await connection.execute("UPDATE ops.lanes SET retention_months = 24")
    return applied


async def ids(stream: Stream) -> list[tuple[int, int]]:
    """Number and version of each revenue that there is."""
    async with stream.database() as connection:
        rows = await connection.fetch("SELECT id, version FROM finance.revenues_partitioned ORDER BY id")
    return [tuple(row) for row in rows]


async def test_edits_of_what_has_left_change_the_books_and_prove(stream: Stream) -> None:
    await stream.send([on(number, 1, GONE, amount=100) for number in range(1, 7)] + [on(7, 1, KEPT)])
    with stream.worker() as worker:
        await stream.wait_until_consumed(7)
        assert (await expire(stream)).returncode == 0
        assert await ids(stream) == [(7, 1)]
        # Edited, moved out of the month and into it, deleted, and new: all by a worker that takes it for retained.
        await stream.send(
            [
                on(1, 2, GONE, amount=70),
                on(2, 2, KEPT, amount=5),
                on(3, 2, GONE, status="deleted"),
                on(7, 2, GONE + timedelta(hours=1)),
                on(8, 1, GONE, kind="expense"),
            ]
        )
        await stream.wait_until_consumed(12)
        assert await ids(stream) == [(1, 2), (2, 2), (3, 2), (7, 2)]
        report = await stream.prove()
        assert (report.exit_code, report.differences) == (0, ())
        assert await worker.stop() == 0
    assert (await expire(stream, "--archive", str(stream.folder))).returncode == 0
    assert await ids(stream) == [(2, 2)]
    with stream.worker(**SHORT) as worker:  # by now it has caught up
        await stream.send([on(4, 2, GONE, amount=1), on(2, 3, GONE), on(9, 1, GONE)])
        await stream.wait_until_consumed(15)
        assert await worker.stop() == 0
    assert await ids(stream) == []
    verified = stream.folio("verify")
    assert verified.returncode == 0, verified.stdout
    assert "0 differences" in verified.stdout
    archives = [gzip.decompress(path.read_bytes()) for path in stream.folder.glob("finance.*.gz")]
    # What came after its month had left is in an archive of its own.
    assert sum(archive.count(b"\n") - 2 for archive in archives) == 4


async def test_a_row_that_is_lost_from_a_month_that_is_there_is_a_difference(stream: Stream) -> None:
    await stream.send([on(1, 1, GONE), on(2, 1, KEPT)])
    with stream.worker() as worker:
        await stream.wait_until_consumed(2)
        assert await worker.stop() == 0
    assert (await expire(stream)).returncode == 0
    assert stream.folio("verify").returncode == 0
    async with stream.database() as connection:
        await connection.execute("DELETE FROM finance.revenues_partitioned")
    assert stream.folio("verify").returncode == 1


async def test_the_proof_goes_by_what_the_workers_keep_and_not_by_its_own_setting(stream: Stream) -> None:
    await stream.send([on(1, 1, GONE)])
    with stream.worker(**SHORT) as worker:
        await stream.wait_until_consumed(1)
        assert await worker.stop() == 0
    verified = stream.folio("verify")  # by its setting it would ask for the row
    assert verified.returncode == 0, verified.stdout
    with stream.worker() as worker:
        await stream.send([on(2, 1, KEPT)])
        await stream.wait_until_consumed(2)
        assert await worker.stop() == 0
    verified = stream.folio("verify")  # more months are kept now, and the row of before is still missing
    assert verified.returncode == 0, verified.stdout


async def test_a_row_that_the_workers_keep_is_asked_for_whatever_the_setting_of_the_proof(stream: Stream) -> None:
    await stream.send([on(1, 1, GONE)])
    with stream.worker() as worker:
        await stream.wait_until_consumed(1)
        assert await worker.stop() == 0
    async with stream.database() as connection:
        await connection.execute("DELETE FROM finance.revenues_partitioned")
    assert stream.folio("verify", **SHORT).returncode == 1


async def test_a_store_whose_months_are_in_archives_is_not_proved(stream: Stream) -> None:
    await stream.send([on(1, 1, KEPT)])
    with stream.worker() as worker:
        await stream.wait_until_consumed(1)
        assert await worker.stop() == 0
    month = month_of(NOW)
    async with stream.database() as connection:
        await connection.execute("SELECT ops.detach_month('event_store.events', $1, true)", month)
    # As a run that was killed has left it: no archive can be restored before another one has written it.
    verified = stream.folio("verify")
    assert (verified.returncode, "archives" in verified.stdout) == (2, False), verified.stdout
    assert f"{month:%Y-%m} have left it and wait to be archived: run `folio partitions apply`" in verified.stdout
    assert stream.folio("partitions", "apply", "--archive", str(stream.folder)).returncode == 0
    verified = stream.folio("verify")
    assert (verified.returncode, f"{month:%Y-%m} are in archives" in verified.stdout) == (2, True)

"""Versions whose months were archived are sent again: they are known, and once the months are back the books prove."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from pipeline.crash import crash_point
from pipeline.maintenance.partitions.applying import Maintenance
from pipeline.maintenance.partitions.planning import ArchiveMonth, DetachMonth, DropMonth, KeepVersions
from pipeline.maintenance.partitions.state import EVENTS
from pipeline.settings import PartitionSettings
from tests.support.events import encoded, event
from tests.support.stream import Message, Stream

AT = datetime.now(UTC) - timedelta(hours=1)


def of_one(version: int, **changes: object) -> Message:
    return b"1", encoded(event(1, version, at=AT, **changes))  # type: ignore[arg-type]  # fields of an event, by their names


async def archive_everything(stream: Stream) -> None:
    """The steps of a clean-up, for the present month: a test does not wait for two to pass."""
    async with stream.database() as connection:
        months = await connection.fetch(
            f"SELECT DISTINCT date_trunc('month', recorded_at AT TIME ZONE 'UTC')::date AS month FROM {EVENTS}"
        )
        maintenance = Maintenance(connection, PartitionSettings(), stream.folder, "test", crash_point(None))
        for month in [row["month"] for row in months]:
            await maintenance.carry_out(KeepVersions(EVENTS, month))
            await maintenance.carry_out(DetachMonth(EVENTS, month, 0, 0, to_archive=True))
            await maintenance.carry_out(ArchiveMonth(EVENTS, month))
            await maintenance.carry_out(DropMonth(EVENTS, month))


async def outcomes(connection: asyncpg.Connection) -> dict[str, int]:
    row = await connection.fetchrow(
        "SELECT sum(applied)::int AS applied, sum(duplicate)::int AS duplicate, sum(stale)::int AS stale, "
        "sum(conflict)::int AS conflict FROM ops.lanes"
    )
    assert row is not None
    return dict(row)


@pytest.mark.timeout(120)
async def test_a_version_that_was_archived_is_known_when_it_is_sent_again(stream: Stream) -> None:
    await stream.send([of_one(1, amount=10), of_one(3, amount=30), of_one(4, amount=40)])
    with stream.worker() as worker:
        await stream.wait_until_consumed(3)
        await archive_everything(stream)
        # The same, another content under a known version, one below that never came, and what the snapshot knows.
        await stream.send([of_one(1, amount=10), of_one(3, amount=31), of_one(2, amount=20), of_one(4, amount=40)])
        await stream.wait_until_consumed(7)
        async with stream.database() as connection:
            assert await outcomes(connection) == {"applied": 3, "duplicate": 2, "stale": 1, "conflict": 1}
            assert await connection.fetchval(f"SELECT array_agg(version) FROM {EVENTS}") == [2]
        assert await worker.stop() == 0
    for archive in stream.folder.glob("event_store.events-*.gz"):
        restored = stream.folio("partitions", "restore", str(archive))
        assert restored.returncode == 0, restored.stderr
    async with stream.database() as connection:
        assert await connection.fetchval(f"SELECT array_agg(version ORDER BY version) FROM {EVENTS}") == [1, 2, 3, 4]
    verified = stream.folio("verify")
    assert (verified.returncode, "0 differences" in verified.stdout) == (0, True), verified.stdout
    # Back again, its versions are known twice, and mean the same.
    with stream.worker() as worker:
        await stream.send([of_one(1, amount=10)])
        await stream.wait_until_consumed(8)
        assert await worker.stop() == 0
    assert stream.folio("verify").returncode == 0

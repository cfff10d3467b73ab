"""folio rebuild beside a worker and live traffic: nothing lost, every version told, and killed anywhere it goes on."""

import asyncio
import json
import signal
from datetime import timedelta
from typing import Final

import asyncpg

from tests.rebuild.damages import DAMAGES
from tests.support.events import NOON, encoded, event
from tests.support.stream import Message, Stream

ORGS: Final = 40
LOWERED: Final = "UPDATE finance.daily_cash_balances_partitioned SET version = 1 WHERE org_id = 1"
POINTS: Final = ("rebuild_locked", "rebuild_written", "rebuild_committed", "rebuild_recorded")


def traffic(first: int, count: int) -> list[Message]:
    """Revenues over some organisations, properties and days, each transaction edited once."""
    messages: list[Message] = []
    for number in range(first, first + count):
        org = number % ORGS + 1
        at = NOON - timedelta(days=number % 4)
        for version in (1, 2):
            body = event(number, version, org=org, property_=number % 3 + 1, amount=number % 700 + version, at=at)
            messages.append((str(org).encode(), encoded(body)))
    return messages


async def damage(connection: asyncpg.Connection) -> None:
    """In every way that stays without effect on what a writer books next."""
    for what in ("a row's text", "rows that are gone", "a day's movements", "an opening", "who made and approved"):
        await connection.execute(DAMAGES[what])
    await connection.execute(
        "UPDATE read_models.users SET display_name = 'Nobody' WHERE org_id < 9; "
        "DELETE FROM read_models.users WHERE org_id > 30"
    )
    # Of some organisations everything that can be rebuilt.
    await connection.execute(
        "DELETE FROM finance.daily_cash_balances_partitioned WHERE org_id > 30; "
        "DELETE FROM finance.revenues_partitioned WHERE org_id > 30"
    )


async def proved(stream: Stream) -> None:
    report = await stream.prove()
    assert report.exit_code == 0, report.differences[:5]


async def test_a_rebuild_beside_live_traffic_ends_equal(stream: Stream) -> None:
    before, meanwhile = traffic(1, 400), traffic(1000, 1500)
    with stream.worker() as worker:
        await stream.send(before)
        await stream.wait_until_consumed(len(before))
        async with stream.database() as connection:
            await damage(connection)
        sending = asyncio.create_task(stream.send(meanwhile))
        done = await asyncio.to_thread(
            stream.folio, "rebuild", "snapshots", "transactions", "balances", "users", "--output", "json"
        )
        assert done.returncode == 0, done.stderr
        changed = {what for phase in json.loads(done.stdout)["phases"].values() for what in phase["changed"]}
        assert changed == {"snapshots", "transactions", "balances", "names"}
        await sending
        await stream.wait_until_consumed(len(before) + len(meanwhile))
        # What was looked at before a writer came to it is right as well, once nobody writes.
        assert stream.folio("rebuild", "balances").returncode == 0
        await stream.wait_until_consumed(len(before) + len(meanwhile))
        assert await worker.stop() == 0
    await proved(stream)
    again = stream.folio("rebuild", "snapshots", "transactions", "balances", "--dry-run")
    assert again.returncode == 0, again.stdout


async def test_the_owner_of_a_quiet_lane_tells_what_was_rebuilt(stream: Stream) -> None:
    """No record comes that would make it look."""
    with stream.worker() as worker:
        await stream.send(traffic(1, 40))
        await stream.wait_until_consumed(80)
        async with stream.database() as connection:
            await connection.execute(DAMAGES["a day's movements"])
        assert stream.folio("rebuild", "balances").returncode == 0
        async with stream.database() as connection:
            assert await connection.fetchval("SELECT count(*) FROM ops.lanes WHERE outbox_seq > published_seq")
        await stream.wait_until_consumed(80, seconds=10)
        await proved(stream)
        assert await worker.stop() == 0


async def test_a_rebuild_that_is_killed_goes_on_where_it_was(stream: Stream) -> None:
    with stream.worker() as worker:
        await stream.send(traffic(1, 200))
        await stream.wait_until_consumed(400)
        async with stream.database() as connection:
            await damage(connection)
        command = ("rebuild", "snapshots", "transactions", "balances", "users")
        for point in POINTS:
            assert stream.folio(*command, WORKER_CRASH_AT=point).returncode == -signal.SIGKILL
        done = stream.folio(*command)
        assert done.returncode == 0, done.stderr
        assert "going on with job" in done.stderr
        await stream.wait_until_consumed(400)
        assert await worker.stop() == 0
    await proved(stream)
    async with stream.database() as connection:
        assert await connection.fetchval("SELECT string_agg(DISTINCT state, ' ') FROM ops.jobs") == "done"
        assert await connection.fetchval("SELECT count(*) FROM ops.operator_audit WHERE command LIKE 'rebuild %'") == 5


async def test_what_cannot_be_done_is_said(stream: Stream) -> None:
    for arguments, said in (
        (("rebuild",), "name at least one of snapshots"),
        (("rebuild", "reports", "--dry-run"), "reports are made anew"),
        (("rebuild", "balances", "--since", "last"), "only reports"),
        (("rebuild", "reports", "--since", "2026-01-01"), "without an offset"),
        (("rebuild", "balances"), "no lanes yet"),
    ):
        done = stream.folio(*arguments)
        assert (done.returncode, said in done.stderr.replace("\n", " ")) == (3, True), done.stderr


async def test_a_rebuild_excuses_no_version_of_a_day_that_it_has_not_rebuilt(stream: Stream) -> None:
    """Organisation 2 is rebuilt; a day of 1 is lowered, to a version at which it had the same figures."""
    edits = [
        (str(org).encode(), encoded(event(1, version, org=org, amount=amount)))
        for version, amount in enumerate((100, 200, 100), start=1)
        for org in (1, 2)
    ]
    with stream.worker() as worker:
        for sent in range(0, len(edits), 2):  # each in a batch of its own
            await stream.send(edits[sent : sent + 2])
            await stream.wait_until_consumed(sent + 2)
        async with stream.database() as connection:
            await connection.execute(DAMAGES["a day's movements"] + " AND org_id = 2")
            assert stream.folio("rebuild", "balances").returncode == 0
            await stream.wait_until_consumed(len(edits), seconds=10)
            await proved(stream)
            await connection.execute(LOWERED)
        report = await stream.prove()
        assert [difference.key["org_id"] for difference in report.differences] == [1]
        # Nor when the day has passed again what it had told.
        for amount in (300, 400, 500):
            await stream.send([(b"1", encoded(event(amount, org=1, amount=amount)))])
            await stream.wait_until_consumed(len(edits) + amount // 100 - 2)
        assert await worker.stop() == 0
    report = await stream.prove()
    assert [difference.key["org_id"] for difference in report.differences] == [1]

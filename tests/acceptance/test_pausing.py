"""Pausing: a lane whose records wait, an organisation whose records are set aside, and the breaker that does it."""

import asyncio
import json
import os
import signal
import sys
from typing import Any

import sql
from schemas.routing import home_lane
from schemas.topics import Feed
from tests.support.events import NOON, correction, encoded, event
from tests.support.starting import REPOSITORY
from tests.support.stream import Message, Stream
from tests.support.waiting import until

ORG = 1
NEIGHBOUR = next(org for org in range(2, 100) if home_lane(org, 2) != home_lane(ORG, 2))
HOUSEMATE = next(org for org in range(2, 100) if home_lane(org, 2) == home_lane(ORG, 2))


def done(stream: Stream, *arguments: str) -> str:
    ran = stream.folio(*arguments)
    assert ran.returncode == 0, ran
    return ran.stdout


def status(stream: Stream) -> tuple[int, Any]:
    ran = stream.folio("status", "--output", "json", "--seconds", "0.1")
    return ran.returncode, json.loads(ran.stdout)


def of(org: int, first: int, count: int, **fields: Any) -> list[Message]:
    return [(str(org).encode(), encoded(event(number, org=org, **fields))) for number in range(first, first + count)]


async def audited(stream: Stream) -> list[str]:
    async with stream.database() as connection:
        return [row["command"] for row in await connection.fetch("SELECT command FROM ops.operator_audit ORDER BY at")]


async def test_a_paused_lane_waits_and_its_neighbours_go_on(stream: Stream) -> None:
    lane = str(home_lane(ORG, stream.lanes))
    await stream.send(of(ORG, 1, 3))
    with stream.worker() as worker:
        await stream.wait_until_consumed(3)
        done(stream, "pause", "lane", lane, "--reason", "a look at it")
        await worker.wait_for_log("lane paused")
        await stream.send([*of(ORG, 4, 5), *of(NEIGHBOUR, 1, 5)])
        await stream.wait_until_consumed(8)
        assert await worker.stop() == 0
    code, told = status(stream)
    assert code == 1
    assert told["lag_records"] == 5
    assert [(each["lane"], each["pause_reason"]) for each in told["lanes"] if each["paused_by"]] == [
        (int(lane), "a look at it")
    ]
    with stream.worker(KAFKA_GROUP=f"{stream.prefix}next") as successor:  # a claim does not lift it
        await successor.wait_for_log("lane paused")
        await asyncio.sleep(0.5)
        assert sum((await stream.outcomes()).values()) == 8
        done(stream, "resume", "lane", lane)
        await stream.wait_until_consumed(13)
        assert await successor.stop() == 0
    assert (await stream.prove()).exit_code == 0
    assert await audited(stream) == ["pause lane", "resume lane"]
    refused = stream.folio("resume", "lane", lane)
    assert refused.returncode != 0
    assert "it is not paused" in refused.stderr


async def test_the_breaker_pauses_a_lane_of_poison_until_somebody_has_seen_it(stream: Stream) -> None:
    lane = home_lane(ORG, stream.lanes)
    small = {"BATCH_ROWS_MAX": "50", "BATCH_GATHERED_ROWS_MAX": "50", "POISON_WINDOW_RECORDS": "100"}
    poison: list[Message] = [(str(ORG).encode(), b"{}") for _ in range(1_000)]
    await stream.send([*of(ORG, 1, 20), *poison, *of(NEIGHBOUR, 1, 200)])
    with stream.worker(**small) as worker:
        await worker.wait_for_log("lane paused")
        await stream.wait_until_consumed(200)
        await asyncio.sleep(0.5)
        outcomes = await stream.outcomes()
        assert outcomes["applied"] == 220
        # The window, and what was on its way: a batch, what had gathered, and a poll of 500.
        assert 50 <= outcomes["quarantined"] <= 100 + 50 + 50 + 500
        _, told = status(stream)
        (paused,) = [each for each in told["lanes"] if each["paused_by"]]
        assert (paused["lane"], paused["paused_by"]) == (lane, "the breaker")
        assert "a producer is broken" in paused["pause_reason"]
        assert await worker.stop() == 0
    with stream.worker(**small, KAFKA_GROUP=f"{stream.prefix}next") as successor:
        await successor.wait_for_log("lane paused")
        done(stream, "resume", "lane", str(lane))
        await stream.wait_until_consumed(1_220)  # all of it was there when the lane was resumed
        await stream.send(poison)
        await stream.wait_until_consumed(1_250)
        await successor.wait_for_log("of the last 1")
        assert successor.log.count("lane paused") == 2
        assert await successor.stop() == 0
    assert (await stream.prove()).exit_code == 0


async def test_a_paused_organisations_records_are_set_aside_and_come_back(stream: Stream) -> None:
    """Events by the home lane and by another, corrections too; verified before, during and after."""
    day = NOON.date()
    with stream.worker() as worker:
        await stream.send([*of(ORG, 1, 2), *of(HOUSEMATE, 1, 2)])
        await stream.wait_until_consumed(4)
        done(stream, "pause", "org", str(ORG), "--reason", "its books are looked at")
        await stream.send([*of(ORG, 3, 3), *of(HOUSEMATE, 3, 3)])
        await stream.send(of(ORG, 6, 2), partition=1 - home_lane(ORG, stream.lanes))
        count = correction(org=ORG, day=day, declared=40)
        await stream.send([(str(ORG).encode(), encoded(count))], feed=Feed.CORRECTIONS)
        await stream.send([(str(ORG).encode(), encoded(event(2, 2, org=ORG, amount=999)))])
        await stream.wait_until_consumed(14)
        assert (await stream.outcomes())["quarantined"] == 7
        assert (await stream.prove()).exit_code == 0
        code, told = status(stream)
        assert [(each["org_id"], each["reason"]) for each in told["paused_orgs"]] == [(ORG, "its books are looked at")]
        assert code == 0  # the stream itself goes on
        stays = done(stream, "dlq", "redrive", "--reason", "org_paused", "--execute")
        assert "0 letters sent back, 7 stay" in stays

        done(stream, "resume", "org", str(ORG))
        await stream.send(of(ORG, 8, 1))
        done(stream, "dlq", "redrive", "--reason", "org_paused", "--execute")
        await stream.wait_until_consumed(14 + 1 + 7)
        assert await worker.stop() == 0
    report = await stream.prove()
    assert report.exit_code == 0, report
    assert report.outcomes["quarantined"] == 7
    async with stream.database() as connection:
        balance = await connection.fetchrow(
            "SELECT cash_received_cents, closing_balance_cents FROM finance.daily_cash_balances_partitioned "
            "WHERE org_id = $1 AND balance_date = $2",
            ORG,
            day,
        )
    assert balance is not None
    assert tuple(balance) == (7 * 100 + 999, 40)
    assert await audited(stream) == ["pause org", "dlq redrive", "resume org", "dlq redrive"]
    refused = stream.folio("resume", "org", str(ORG))
    assert refused.returncode != 0
    assert "not paused" in refused.stderr


async def test_pauses_under_load_are_proved_to_the_record(stream: Stream) -> None:
    """An organisation is paused and resumed while its events, some of them misrouted, pour in."""
    await stream.send(of(HOUSEMATE, 1, 1))
    with stream.worker(BATCH_ROWS_MAX="20") as worker:
        await stream.wait_until_consumed(1)
        for turn in range(6):
            first = 1 + turn * 200
            sending = asyncio.create_task(stream.send(of(ORG, first, 150)))
            astray = asyncio.create_task(stream.send(of(ORG, first + 150, 50), partition=turn % stream.lanes))
            await asyncio.to_thread(
                done, stream, "pause" if turn % 2 == 0 else "resume", "org", str(ORG), *WHY[turn % 2]
            )
            await asyncio.gather(sending, astray)
        await stream.wait_until_consumed(1_201)
        assert await worker.stop() == 0
    report = await stream.prove()
    assert report.exit_code == 0, report
    assert report.outcomes["quarantined"] > 0


WHY = (("--reason", "a turn"), ())


async def test_a_command_that_is_suspended_does_not_hold_up_the_stream(stream: Stream) -> None:
    """An operator's terminal is cut off while the command has locked every lane."""
    async with stream.database() as connection:
        await connection.execute(sql.query("ensure_lanes"), stream.lanes)
        async with connection.transaction():
            await connection.execute("LOCK TABLE ops.org_pauses IN SHARE MODE")  # it comes as far as its own row
            command = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "pipeline.cli", "pause", "org", str(ORG), "--reason", "cut off"),
                env=stream.environment(DATABASE_TRANSACTION_TIMEOUT_SECONDS="2"),
                cwd=REPOSITORY,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                await until(lambda: _waits_for_a_lock(stream), seconds=20)
                command.send_signal(signal.SIGSTOP)
            except BaseException:
                command.kill()
                raise
        try:
            await connection.execute("SET lock_timeout = '5s'")
            assert len(await connection.fetch(sql.query("lock_every_lane"))) == stream.lanes
        finally:
            command.kill()
            await command.wait()


async def _waits_for_a_lock(stream: Stream) -> bool:
    async with stream.database() as connection:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(await connection.fetchval(waiting))


async def test_a_reason_that_is_no_text_is_kept_as_far_as_it_goes(stream: Stream) -> None:
    async with stream.database() as connection:
        await connection.execute(sql.query("ensure_lanes"), stream.lanes)
        for what in ("lane", "org"):
            done(stream, "pause", what, "1", "--reason", os.fsdecode(b"caf\xe9"))
        reasons = await connection.fetchrow(
            "SELECT (SELECT pause_reason FROM ops.lanes WHERE lane = 1), (SELECT reason FROM ops.org_pauses)"
        )
    assert reasons is not None
    assert tuple(reasons) == ("caf\\udce9",) * 2


async def test_nothing_can_be_paused_before_there_are_lanes(stream: Stream) -> None:
    for what in ("lane", "org"):
        refused = stream.folio("pause", what, "1", "--reason", "too early")
        assert refused.returncode != 0
        assert "no worker has claimed any lane yet" in refused.stderr

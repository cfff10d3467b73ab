"""Workers that stall, stop, join and leave: the fence decides who writes, and nobody writes twice."""

import asyncio
import signal

import pytest

from tests.conftest import MakeStream
from tests.support.events import encoded, event
from tests.support.starting import Start, spawned
from tests.support.stream import Message, Stream, WorkerProcess


@pytest.fixture
def start() -> Start:
    """As a shell starts them: each with an interpreter, a hash seed and an end of its own."""
    return spawned


def creations(first: int, count: int) -> list[Message]:
    """Approved revenues of a few organisations."""
    bodies = [event(number, org=1 + number % 9, amount=number) for number in range(first, first + count)]
    return [(str(body["org_id"]).encode(), encoded(body)) for body in bodies]


async def test_a_zombie_is_fenced_off_and_comes_back_as_a_member(stream: Stream) -> None:
    await stream.send(creations(1, 50))
    with stream.worker() as zombie:
        await stream.wait_until_consumed(50)
        zombie.signal(signal.SIGSTOP)  # past the session timeout: the group takes it for dead
        await stream.send(creations(1_000, 200))
        with stream.worker() as heir:
            await stream.wait_until_consumed(250)
            zombie.signal(signal.SIGCONT)
            await stream.send(creations(5_000, 200))
            await stream.wait_until_consumed(450)
            assert await heir.stop() == 0
        await stream.send(creations(9_000, 50))
        await stream.wait_until_consumed(500)
        assert await zombie.stop() == 0
    report = await stream.prove()
    assert report.exit_code == 0, report
    assert report.events == 500


async def test_sigterm_under_load_commits_publishes_and_leaves(stream: Stream) -> None:
    await stream.send(creations(1, 3_000))
    slow = {"BATCH_ROWS_MAX": "50", "BATCH_GATHERED_ROWS_MAX": "100", "KAFKA_SESSION_TIMEOUT_SECONDS": "45"}
    with stream.worker(**slow) as first:
        async with asyncio.timeout(30):
            while not sum((await stream.outcomes()).values()):
                await asyncio.sleep(0.01)
        assert await first.stop() == 0
    assert sum((await stream.outcomes()).values()) < 3_000
    async with stream.database() as connection:
        behind = await connection.fetchval("SELECT count(*) FROM ops.lanes WHERE outbox_seq > published_seq")
    assert behind == 0, "what was committed was published before the worker left"
    with stream.worker(KAFKA_SESSION_TIMEOUT_SECONDS="45") as second:
        # Well before the session of the first would end: it has left the group, nobody waits for its silence.
        await second.wait_for_log("lanes claimed", seconds=20)
        await stream.wait_until_consumed(3_000)
        assert await second.stop() == 0
    report = await stream.prove()
    assert report.exit_code == 0, report


async def test_workers_join_and_leave_under_load(make_stream: MakeStream) -> None:
    stream = await make_stream(lanes=4, BATCH_ROWS_MAX="200")
    sending = asyncio.create_task(_trickle(stream))
    with stream.worker() as one:
        await one.wait_for_log("lanes claimed")
        with stream.worker() as two:
            await two.wait_for_log("lanes claimed")
            with stream.worker() as three:
                await three.wait_for_log("lanes claimed")
                assert await one.stop() == 0
            # `three` was killed: its lanes go to `two` after its silence.
            await sending
            await stream.wait_until_consumed(4_000)
            assert await two.stop() == 0
    report = await stream.prove()
    assert report.exit_code == 0, report
    assert report.events == 4_000


async def _trickle(stream: Stream) -> None:
    for part in range(20):
        await stream.send(creations(1 + part * 200, 200))
        await asyncio.sleep(0.3)


async def test_two_workers_of_one_command_share_the_lanes(make_stream: MakeStream) -> None:
    stream = await make_stream(lanes=4)
    await stream.send(creations(1, 500))
    with stream.worker("--workers", "2") as both:
        await stream.wait_until_consumed(500)
        async with asyncio.timeout(30):
            while await _owners(stream) < 2:
                await asyncio.sleep(0.1)
        assert await both.stop() == 0
    report = await stream.prove()
    assert report.exit_code == 0, report


async def test_a_static_member_that_is_soon_back_moves_nobody_s_lanes(make_stream: MakeStream) -> None:
    stream = await make_stream(lanes=4, KAFKA_STATIC_MEMBERSHIP="true", KAFKA_SESSION_TIMEOUT_SECONDS="20")
    await stream.send(creations(1, 200))
    with stream.worker(WORKER_NAME="one") as one, stream.worker(WORKER_NAME="two") as two:
        async with asyncio.timeout(60):
            while await _owners(stream) < 2:
                await asyncio.sleep(0.1)
        claims = await _settled_claims(two)
        assert await one.stop() == 0
        with stream.worker(WORKER_NAME="one") as again:
            await again.wait_for_log("lanes claimed")
            await stream.send(creations(1_000, 200))
            await stream.wait_until_consumed(400)
            assert two.log.count("lanes claimed") == claims
            assert await again.stop() == 0
        assert await two.stop() == 0
    report = await stream.prove()
    assert report.exit_code == 0, report


async def _settled_claims(worker: WorkerProcess) -> int:
    """How often the worker has claimed, once it does not do so any more: a join is several claims, here and there."""
    before, now = -1, worker.log.count("lanes claimed")
    while before != now:
        await asyncio.sleep(1)
        before, now = now, worker.log.count("lanes claimed")
    return now


async def test_static_members_must_have_names(stream: Stream) -> None:
    with stream.worker(KAFKA_STATIC_MEMBERSHIP="true") as worker:
        assert await worker.wait() == 3
        assert "FOLIO_KAFKA_STATIC_MEMBERSHIP needs FOLIO_WORKER_NAME" in worker.log


async def test_workers_end_with_the_command_that_started_them(stream: Stream) -> None:
    """Killed, it can stop nobody; workers that went on would be looked after by nobody."""
    with stream.worker("--workers", "2") as command:
        await command.wait_for_log("lanes claimed")
        command.signal(signal.SIGKILL)
        await command.wait()
        with stream.worker() as heir:
            # At once: those before left the group in order.
            await heir.wait_for_log("lanes claimed", seconds=20)
            await stream.send(creations(1, 100))
            await stream.wait_until_consumed(100)
            assert await heir.stop() == 0
    assert "lanes released" in command.log


async def _owners(stream: Stream) -> int:
    async with stream.database() as connection:
        return int(await connection.fetchval("SELECT count(DISTINCT owner) FROM ops.lanes"))

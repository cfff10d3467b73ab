"""Growing a stream: a day on four lanes, a growth that is killed at every step, and a day on eight that edits it."""

import json
import signal
from collections.abc import Iterator
from datetime import timedelta

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from pipeline.growth import in_growing_order
from pipeline.topics import partition_counts
from schemas.routing import home_lane
from schemas.topics import Feed
from tests.conftest import MakeStream
from tests.support.events import NOON, TODAY, correction, encoded, event
from tests.support.stream import Message, Stream

ORGS = range(1, 41)
# At home on lane 2 of four, and on lane 6 of eight.
TOPICS = len(in_growing_order(""))
PAUSED = next(org for org in ORGS if (home_lane(org, 4), home_lane(org, 8)) == (2, 6) and org % 5)
YESTERDAY = NOON - timedelta(days=1)


def first_day() -> Iterator[Message]:
    """Transactions of many organisations, some to be approved tomorrow."""
    for org in ORGS:
        for number in (1, 2, 3):
            status = "pending" if number == 1 else "approved"
            yield b"%d" % org, encoded(event(number, org=org, at=YESTERDAY, amount=10 * org, status=status))


def second_day() -> Iterator[Message]:
    """Edits of the day before, wherever their organisations are at home now; late versions, duplicates, new ones."""
    for org in ORGS:
        key = b"%d" % org
        yield key, encoded(event(1, 3, verb="approved", org=org, at=YESTERDAY, amount=org))
        yield key, encoded(event(1, 2, org=org, at=YESTERDAY, amount=999))
        yield key, encoded(event(2, org=org, at=YESTERDAY, amount=10 * org))
        yield key, encoded(event(3, 2, status="deleted", org=org, at=YESTERDAY, amount=10 * org))
        yield key, encoded(event(4, org=org, amount=5))


def counts(org: int) -> Message:
    return b"%d" % org, encoded(correction(org=org, day=TODAY - timedelta(days=1), figures=(org, 0, 0, 0)))


async def consume(stream: Stream, records: int) -> None:
    with stream.worker() as worker:
        await stream.wait_until_consumed(records)
        assert await worker.stop() == 0


async def lanes(stream: Stream) -> list[tuple[int, int]]:
    """Epoch and revision of each lane."""
    async with stream.database() as connection:
        rows = await connection.fetch("SELECT owner_epoch, properties_revision FROM ops.lanes ORDER BY lane")
    return [tuple(row) for row in rows]


async def partitions(stream: Stream) -> list[int]:
    """Of each topic, in the order in which they grow."""
    names = in_growing_order(stream.prefix)
    return list((await partition_counts(stream.endpoints.kafka_bootstrap, names)).values())


@pytest.mark.timeout(240)
async def test_a_stream_grows_though_the_command_is_killed_at_every_step(make_stream: MakeStream) -> None:
    stream = await make_stream(lanes=4)
    await stream.send(first_day())
    await stream.send([counts(org) for org in ORGS if org % 4 == 0], feed=Feed.CORRECTIONS)
    consumed = 3 * len(ORGS) + len(ORGS) // 4
    await consume(stream, consumed)
    assert stream.folio("pause", "org", str(PAUSED), "--reason", "its books are looked at").returncode == 0
    await _grow_by_killed_commands(stream)
    stream.lanes = 8
    moved = [org for org in ORGS if home_lane(org, 8) != home_lane(org, 4)]
    assert len(moved) > len(ORGS) / 4
    await stream.send(second_day())
    await stream.send([counts(org) for org in ORGS if org % 5 == 0], feed=Feed.CORRECTIONS)
    consumed += 5 * len(ORGS) + len(ORGS) // 5
    await consume(stream, consumed)
    report = await stream.prove()
    assert report.exit_code == 0, report
    assert (report.outcomes["misrouted"], report.orgs_on_several_lanes) == (0, 0)
    going = len(ORGS) - 1
    assert (report.outcomes["stale"], report.outcomes["duplicate"]) == (going, going)
    assert report.outcomes["quarantined"] == 5, "a paused organisation stays so at its new home"
    assert stream.folio("resume", "org", str(PAUSED)).returncode == 0
    # A producer that has not heard of the growth: as correct, and counted.
    value = encoded(event(4, 2, org=PAUSED, amount=6))
    await stream.send([(b"%d" % PAUSED, value)], partition=home_lane(PAUSED, 4))
    await consume(stream, consumed + 1)
    report = await stream.prove()
    assert report.exit_code == 0, report
    assert (report.outcomes["misrouted"], report.orgs_on_several_lanes) == (1, 1)


async def _grow_by_killed_commands(stream: Stream) -> None:
    """Each run is killed one step further than the one before; no worker begins until the last is through."""
    grow = ("topics", "repartition", "--lanes", "8", "--execute")
    before = await lanes(stream)
    planned = stream.folio(*grow[:-1])
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.splitlines()[0] == "the database: from 4 to 8 lanes"
    assert (await lanes(stream), await partitions(stream)) == (before, [4] * TOPICS)

    assert stream.folio(*grow, WORKER_CRASH_AT="lanes_locked").returncode == -signal.SIGKILL
    assert (await lanes(stream), await partitions(stream)) == (before, [4] * TOPICS)
    assert stream.folio(*grow, WORKER_CRASH_AT="lanes_grown").returncode == -signal.SIGKILL
    grown = await lanes(stream)
    assert grown[:4] == [(epoch + 1, 1) for epoch, _ in before]
    assert grown[4:] == [(1, 1)] * 4
    assert await partitions(stream) == [4] * TOPICS
    assert "the database knows 8 lanes, the topics have 4 partitions" in stream.folio("doctor").stdout

    for topics, crash in ((1, "topic_grown"), (TOPICS - 1, f"topic_grown:{TOPICS - 2}")):
        assert stream.folio(*grow, WORKER_CRASH_AT=crash).returncode == -signal.SIGKILL
        assert await partitions(stream) == [8] * topics + [4] * (TOPICS - topics)
    checked = stream.folio("topics", "check")
    assert (checked.returncode, "run `folio topics repartition` again" in checked.stdout) == (1, True)
    with stream.worker() as worker:
        assert await worker.wait() == 3
        assert "the topics must have equally many partitions" in worker.log
    done = stream.folio(*grow)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"topic {stream.topic}: to 8 partitions",
        "done: start the workers, then the producers",
    ]
    async with stream.database() as connection:
        audited = await connection.fetch(
            "SELECT detail FROM ops.operator_audit WHERE command = 'topics repartition' ORDER BY audit_id"
        )
        instants = await connection.fetchval("SELECT count(DISTINCT last_recorded_at) FROM ops.lanes")
    assert [json.loads(row["detail"])["from"] for row in audited] == [4, 8, 8, 8]
    assert instants == 1
    assert await lanes(stream) == grown


async def test_what_is_not_drained_or_not_a_growth_is_refused_with_what_to_do(stream: Stream) -> None:
    await stream.send([(b"1", encoded(event(1)))])

    def refused(target: int) -> str:
        done = stream.folio("topics", "repartition", "--lanes", str(target), "--execute")
        assert done.returncode == 3, done.stdout
        return done.stderr

    home = home_lane(1, stream.lanes)
    assert f"lane {home}: 1 records to consume" in refused(4)
    with stream.worker() as worker:
        await stream.wait_until_consumed(1)
        assert "still in the group. Stop the workers first" in refused(4)
        assert await worker.stop() == 0
    async with stream.database() as connection:
        await connection.execute("UPDATE ops.lanes SET invalidated_seq = 0")
        assert "0 batches to publish, 1 to invalidate" in refused(4)
        await connection.execute("UPDATE ops.lanes SET invalidated_seq = outbox_seq")
    assert "there are 2 lanes, and lanes are only ever added" in refused(2)
    assert "at most 1024" in refused(1025)
    assert await partitions(stream) == [2] * TOPICS
    admin = AIOKafkaAdminClient(bootstrap_servers=stream.endpoints.kafka_bootstrap)
    await admin.start()
    await admin.create_partitions({stream.topic: NewPartitions(total_count=4)})
    await admin.close()
    assert "no growth of ours has left them so" in refused(4)
    assert len(await lanes(stream)) == 2


async def test_a_stream_that_nobody_has_consumed_grows_too(stream: Stream) -> None:
    done = stream.folio("topics", "repartition", "--lanes", "3", "--execute", "--output", "json")
    assert done.returncode == 0, done.stderr
    told = {"executed": True, "from": 0, "to": 3, "topics": in_growing_order(stream.prefix)}
    assert json.loads(done.stdout) == told
    assert json.loads(stream.folio("topics", "check", "--output", "json").stdout) == {"problems": []}
    assert json.loads(stream.folio("topics", "create", "--output", "json").stdout) == {"created": [], "problems": []}
    stream.lanes = 3
    await stream.send(first_day())
    await consume(stream, 3 * len(ORGS))
    report = await stream.prove()
    assert (report.exit_code, report.outcomes["misrouted"]) == (0, 0), report

"""`folio tail` as an operator types it: the updates of one organisation, in order, while a worker makes them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from pipeline.stack import StackConfig
from pipeline.stack.stack import up
from pipeline.stack.temporary import temporary_stack
from schemas.topics import REALTIME_UPDATES
from schemas.updates import BalanceUpdate, encode_update
from tests.support.events import NOON, TODAY, encoded, event
from tests.support.starting import REPOSITORY
from tests.support.stream import Message, Stream, new_topics

ORGS = 6
ROUNDS = 4


def _events(first: int) -> list[Message]:
    """A revenue for each organisation in turn, several times over."""
    numbers = range(first, first + ORGS * ROUNDS)
    return [(str(number % ORGS + 1).encode(), encoded(event(number, org=number % ORGS + 1))) for number in numbers]


async def _topic(stream: Stream) -> list[bytes]:
    """Every update of the topic, in the order of each partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=stream.endpoints.kafka_bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(stream.prefix + REALTIME_UPDATES, number) for number in range(stream.lanes)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        values: list[bytes] = []
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                for records in (await consumer.getmany(partition, timeout_ms=500)).values():
                    values += [record.value for record in records]
        return values
    finally:
        await consumer.stop()


def _of(org: int, lines: list[bytes]) -> list[bytes]:
    return [line for line in lines if msgspec.json.decode(line)["org_id"] == org]


class Tail:
    """A real `folio tail` in the background."""

    def __init__(self, stream: Stream, folder: Path, *arguments: str) -> None:
        self.said = folder / "tail.err"
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.cli", "tail", *arguments],
                env=stream.environment(), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=said,
            )  # fmt: skip

    def __enter__(self) -> "Tail":
        deadline = time.monotonic() + 30
        while "following" not in self.said.read_text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise AssertionError(self.said.read_text())
            time.sleep(0.05)
        return self

    def __exit__(self, *_: Any) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    async def wait_until_said(self, text: str) -> None:
        deadline = time.monotonic() + 30
        while text not in self.said.read_text():
            assert time.monotonic() < deadline, self.said.read_text()
            await asyncio.sleep(0.05)

    def end(self) -> tuple[int, list[bytes]]:
        printed, _ = self.process.communicate(timeout=30)
        return self.process.returncode, printed.splitlines()


async def test_tail_shows_exactly_the_updates_of_an_organisation_in_order(stream: Stream, tmp_path: Path) -> None:
    events = _events(1)
    with stream.worker(BATCH_ROWS_MAX="5") as worker:
        with Tail(stream, tmp_path, "--org", "3", "--output", "json", "--idle-seconds", "6") as tail:
            assert "following 1 partition(s)" in tail.said.read_text()
            await stream.send(events)
            await stream.wait_until_consumed(len(events))
            code, lines = tail.end()
            assert (code, lines) == (0, _of(3, await _topic(stream)))
            versions = [msgspec.json.decode(line)["version"] for line in lines]
            assert versions == list(range(1, len(versions) + 1))
            assert len(versions) >= 1

        between = datetime.now(UTC)
        more = _events(1_000)
        await stream.send(more)
        await stream.wait_until_consumed(len(events) + len(more))
        assert await worker.stop() == 0
    everything = await _topic(stream)

    ended = ("--output", "json", "--idle-seconds", "1")
    since = stream.folio("tail", "--since", between.isoformat(), "--org", "3", *ended)
    assert since.stdout.encode().splitlines() == _of(3, everything)[len(lines) :] != []
    begun = stream.folio("tail", "--from-beginning", *ended)
    assert sorted(begun.stdout.encode().splitlines()) == sorted(everything)
    assert stream.folio("tail", *ended).stdout == ""
    limited = stream.folio("tail", "--since", "1h", "--org", "3", "--org", "4", "--limit", "2")
    assert limited.returncode == 0
    assert len(limited.stdout.splitlines()) == 2
    assert all("closing" in line and ("org 3 " in line or "org 4 " in line) for line in limited.stdout.splitlines())


async def test_tail_ends_in_peace(stream: Stream, tmp_path: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        with Tail(stream, tmp_path) as tail:
            tail.process.send_signal(number)
            assert tail.end() == (0, [])
            assert "Traceback" not in tail.said.read_text()
    with stream.worker() as worker, Tail(stream, tmp_path) as tail:
        assert tail.process.stdout is not None
        tail.process.stdout.close()  # as `| head` does
        await stream.send(_events(1))
        await stream.wait_until_consumed(ORGS * ROUNDS)
        assert tail.process.wait(timeout=30) == 0
        assert tail.said.read_text().count("\n") == 1, "only where it follows"
        assert await worker.stop() == 0


def test_tail_says_what_it_cannot_follow(stream: Stream) -> None:
    missing = stream.folio("tail", KAFKA_TOPIC_PREFIX="nobody-made-these.")
    assert (missing.returncode, "folio topics create" in missing.stderr) == (3, True)
    both = stream.folio("tail", "--since", "1h", "--from-beginning")
    assert (both.returncode, "one of them" in both.stderr) == (3, True)
    away = stream.folio("tail", KAFKA_BOOTSTRAP="127.0.0.1:1")
    assert away.returncode == 4


async def _publish(stream: Stream, values: list[bytes]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=stream.endpoints.kafka_bootstrap) as producer:
        for value in values:
            await producer.send_and_wait(stream.prefix + REALTIME_UPDATES, value, key=b"1", partition=0)


@pytest.mark.timeout(180)
async def test_a_broker_killed_and_started_again_is_said_once_and_nothing_is_missed(tmp_path: Path) -> None:
    directory = tmp_path / "stack"
    figures = (0, 1, 0, 0, 0, 1, None, 1, 0)
    updates = [
        encode_update(BalanceUpdate(1, 1, TODAY, "e", version, *figures, NOON, "event", None)).line
        for version in range(1, 5)
    ]
    with temporary_stack(directory) as endpoints:
        stream = Stream(endpoints, "tail.", 1, tmp_path)
        await new_topics(endpoints, stream.prefix, stream.lanes)
        with Tail(stream, tmp_path, "--output", "json", "--limit", "4") as tail:
            await _publish(stream, updates[:2])
            broker = json.loads((directory / "stack.json").read_text())["parts"]["kafka"]["process"]["pid"]
            os.kill(broker, signal.SIGKILL)
            await tail.wait_until_said("waiting for it")
            await asyncio.to_thread(up, StackConfig(directory, preferred_ports={}))
            await _publish(stream, updates[2:])
            assert tail.end() == (0, updates)
            said = tail.said.read_text()
            assert (said.count("waiting for it"), said.count("is back"), said.count("\n")) == (1, 1, 3), said

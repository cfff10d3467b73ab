"""`folio produce` as people run it: a process with arguments, standard input and signals."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from pipeline.exits import EXIT_FATAL, EXIT_OK, EXIT_UNAVAILABLE
from pipeline.stack import Endpoints
from schemas.topics import BALANCE_CORRECTIONS, FINANCE_EVENTS, Feed
from tests.simulator.test_sender import create_topic, records_of

SECONDS_MAX = 60


def environment(bootstrap: str) -> dict[str, str]:
    # The database and the cache are named, but never asked.
    return os.environ | {
        "FOLIO_KAFKA_BOOTSTRAP": bootstrap,
        "FOLIO_DATABASE_URL": "postgresql://nobody@nowhere/none",
        "FOLIO_REDIS_URL": "redis://nowhere:1",
    }


def command(*arguments: str | Path) -> tuple[str | Path, ...]:
    return (sys.executable, "-m", "pipeline.cli", "produce", *arguments)


def run(bootstrap: str, *arguments: str | Path, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(*arguments),
        check=False,
        input=stdin,
        capture_output=True,
        env=environment(bootstrap),
        timeout=SECONDS_MAX,
    )


@contextmanager
def running(bootstrap: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command while it runs; killed if the test leaves it behind."""
    with subprocess.Popen(
        command(*arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(bootstrap)
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def until_sent(bootstrap: str, topic: str, least: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while len(await records_of(bootstrap, topic)) < least:
        assert process.poll() is None, "the command ended early"
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def ended(process: subprocess.Popen[bytes]) -> str:
    """What it said, once it has ended in order."""
    out, _ = process.communicate(timeout=SECONDS_MAX)
    assert process.returncode == EXIT_OK
    return out.decode()


@pytest.fixture
async def topic(stack: Endpoints) -> str:
    return await create_topic(stack.kafka_bootstrap)


async def test_events_are_sent_and_counted(stack: Endpoints, topic: str) -> None:
    done = run(stack.kafka_bootstrap, "--topic", topic, "--events", "500", "--orgs", "5", "--poison", "0.1")
    assert done.returncode == EXIT_OK, done.stderr
    assert b"500 of 500 messages acknowledged" in done.stdout
    assert b"created" in done.stdout
    assert b"poison." in done.stdout
    assert done.stderr == b""
    assert len(await records_of(stack.kafka_bootstrap, topic)) == 500


async def test_the_streams_own_topics_are_the_default_and_the_messages_are_those_of_both(
    stack: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = f"stream-{uuid4()}."
    monkeypatch.setenv("FOLIO_KAFKA_TOPIC_PREFIX", prefix)
    missing = run(stack.kafka_bootstrap, "--events", "5")
    assert f"topic {prefix}finance-events does not exist" in missing.stderr.decode()
    await create_topic(stack.kafka_bootstrap, prefix + FINANCE_EVENTS)
    missing = run(stack.kafka_bootstrap, "--events", "5")
    assert f"topic {prefix}balance-corrections does not exist" in missing.stderr.decode()
    await create_topic(stack.kafka_bootstrap, prefix + BALANCE_CORRECTIONS)
    done = run(stack.kafka_bootstrap, "--events", "300", "--corrections", "0.2")
    assert done.returncode == EXIT_OK, done.stderr
    assert b"300 of 300 messages acknowledged" in done.stdout
    assert b"counted" in done.stdout
    events, corrections = [await records_of(stack.kafka_bootstrap, prefix + feed) for feed in Feed]
    assert len(events) + len(corrections) == 300
    assert 30 < len(corrections) < 90
    assert all(b'"correction_id"' in record.value for record in corrections if record.value)
    assert not any(b'"correction_id"' in record.value for record in events if record.value)


async def test_a_second_run_uses_other_ids(stack: Endpoints, topic: str) -> None:
    for _ in range(2):
        run(stack.kafka_bootstrap, "--topic", topic, "--events", "50", "--duplicates", "0", "--poison", "0")
    values = [record.value for record in await records_of(stack.kafka_bootstrap, topic)]
    assert len(values) == len(set(values)) == 100


async def test_lines_are_sent_as_they_are(stack: Endpoints, topic: str, tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b'{"org_id": 7, "a": 1}\n\nnonsense\n{"org_id": 7, "a": 2}')
    done = run(stack.kafka_bootstrap, "--topic", topic, "--file", path)
    assert done.returncode == EXIT_OK
    assert b"3 of 3 messages acknowledged" in done.stdout
    assert b"1 lines are not JSON, line 3 the first; they were sent as they are" in done.stderr
    records = await records_of(stack.kafka_bootstrap, topic)
    assert [r.value for r in records if r.key == b"7"] == [b'{"org_id": 7, "a": 1}', b'{"org_id": 7, "a": 2}']
    assert [r.value for r in records if r.key is None] == [b"nonsense"]


async def test_standard_input_is_sent(stack: Endpoints, topic: str) -> None:
    done = run(stack.kafka_bootstrap, "--topic", topic, "--file", "-", stdin=b'{"org_id":1}\n' * 3_000)
    assert done.returncode == EXIT_OK, done.stderr
    assert b"3,000 of 3,000 messages" in done.stdout


async def test_an_open_pipe_is_sent_as_it_fills_and_ends_with_ctrl_c(stack: Endpoints, topic: str) -> None:
    with running(stack.kafka_bootstrap, "--topic", topic, "--file", "-") as process:
        assert process.stdin is not None
        # The last line is unfinished, hence none yet.
        process.stdin.write(b'{"org_id":1}\n{"org_id":2}\n{"org_id')
        process.stdin.flush()
        await until_sent(stack.kafka_bootstrap, topic, 2, process)
        process.send_signal(signal.SIGINT)
        process.wait(SECONDS_MAX)
        assert "2 of 2 messages acknowledged" in ended(process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_in_order(stack: Endpoints, topic: str, number: signal.Signals) -> None:
    with running(stack.kafka_bootstrap, "--topic", topic, "--duration", "600", "--rate", "500") as process:
        await until_sent(stack.kafka_bootstrap, topic, 100, process)
        process.send_signal(number)
        said = ended(process)
    sent = len(await records_of(stack.kafka_bootstrap, topic))
    assert said.startswith(f"{sent:,} of {sent:,} messages acknowledged")


async def test_a_duration_ends_the_run(stack: Endpoints, topic: str) -> None:
    done = run(stack.kafka_bootstrap, "--topic", topic, "--duration", "1", "--rate", "100")
    assert done.returncode == EXIT_OK, done.stderr
    assert 50 <= len(await records_of(stack.kafka_bootstrap, topic)) <= 120


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--file", "/nonexistent.ndjson"), "--file /nonexistent.ndjson: No such file"),
        (("--file", "-", "--events", "5"), "--file sends lines as they are"),
        (("--file", "-", "--seed", "5"), "--file sends lines as they are"),
        (("--file", "-", "--corrections", "0.01"), "--file sends lines as they are"),
        (("--topic", "somewhere", "--corrections", "0.01"), "--topic takes events alone"),
        (("--day", str(date.today() + timedelta(days=3))), "(today) is accepted"),  # noqa: DTZ011 - any zone will do
        (("--day", "1999-01-01"), "--day 1999-01-01: between"),
        (("--duration", "1", "--day", "2025-11-22"), "leave --day out"),
        (("--poison", "0.9", "--duplicates", "0.9"), "duplicate_share + poison_share is 1.8"),
        (("--topic", "nowhere"), "topic nowhere does not exist"),
    ],
)
async def test_what_cannot_be_is_refused(stack: Endpoints, arguments: tuple[str, ...], message: str) -> None:
    done = run(stack.kafka_bootstrap, *arguments)
    assert done.returncode == EXIT_FATAL
    assert message in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_an_absent_broker_is_named(unused_tcp_port: int) -> None:
    done = run(f"127.0.0.1:{unused_tcp_port}", "--events", "5")
    assert done.returncode == EXIT_UNAVAILABLE
    assert f"127.0.0.1:{unused_tcp_port}" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()

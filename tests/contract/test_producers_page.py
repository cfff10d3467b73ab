"""The page for producers is run: each of its examples, as printed, against the real broker."""

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from pipeline.stack import Endpoints
from pipeline.stack.jars import cache_folder, jar_folder, locked_jars
from pipeline.topics import create_topics
from schemas.codec import Rules, judge, judge_correction
from schemas.records import Accepted, AcceptedCorrection, Origin
from schemas.routing import home_lane
from schemas.topics import BALANCE_CORRECTIONS, FINANCE_EVENTS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "producers.md").read_text()
LANES = 8
# The page is read for longer than an event may be late.
RULES = Rules(past_max=timedelta(days=36_525), future_max=timedelta(hours=24))
JAVA_CLIENT = ("kafka-clients", "slf4j-api")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


EVENT, CORRECTION = blocks("json")
AIOKAFKA, CONFLUENT = blocks("python")
(JAVA,) = blocks("java")


@pytest.fixture
async def topic(stack: Endpoints) -> str:
    prefix = f"page-{uuid4()}."
    await create_topics(stack.kafka_bootstrap, LANES, 1, prefix)
    return prefix + FINANCE_EVENTS


def written(example: str, name: str, folder: Path, bootstrap: str, topic: str) -> Path:
    """The example as a reader would save it, with a broker and a topic of the reader's own."""
    for printed, own in (('"broker:9092"', f'"{bootstrap}"'), (f'"{FINANCE_EVENTS}"', f'"{topic}"')):
        assert example.count(printed) == 1
        example = example.replace(printed, own)
    (folder / "event.json").write_text(EVENT)
    (folder / name).write_text(example)
    return folder / name


def run(*command: str | Path, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr


async def only_record(bootstrap: str, topic: str) -> ConsumerRecord:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(LANES)]
        assert sum((await consumer.end_offsets(partitions)).values()) == 1
        consumer.assign(partitions)
        record: ConsumerRecord = await consumer.getone()
        return record
    finally:
        await consumer.stop()


async def require_accepted_at_home(bootstrap: str, topic: str) -> None:
    record = await only_record(bootstrap, topic)
    appended_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    origin = Origin(
        FINANCE_EVENTS, record.partition, record.offset, appended_at, record.key, record.value, tuple(record.headers)
    )
    verdict = judge(origin, RULES)
    assert isinstance(verdict, Accepted), verdict
    assert record.key == b"%d" % verdict.event.org_id
    assert record.partition == home_lane(verdict.event.org_id, LANES)


@pytest.mark.parametrize("example", [AIOKAFKA, CONFLUENT], ids=["aiokafka", "confluent-kafka"])
async def test_a_python_example_sends_what_is_accepted(
    example: str, stack: Endpoints, topic: str, tmp_path: Path
) -> None:
    file = written(example, "send.py", tmp_path, stack.kafka_bootstrap, topic)
    run(sys.executable, "-W", "error", file, folder=tmp_path)
    await require_accepted_at_home(stack.kafka_bootstrap, topic)


@pytest.fixture
def java_client() -> str:
    """The class path of Kafka's own client, as the local stack's broker has it."""
    if shutil.which("javac") is None or shutil.which("java") is None:
        pytest.skip("no JDK to compile and run the example: `apt-get install default-jdk-headless`")
    folder = jar_folder(locked_jars(), cache_folder())
    jars = [folder / jar.name for jar in locked_jars() if jar.artifact in JAVA_CLIENT]
    if not all(jar.exists() for jar in jars):
        pytest.skip("the broker's jars are not in the cache: `folio stack up` fetches them")
    return ":".join(str(jar) for jar in jars)


async def test_the_java_example_sends_what_is_accepted(
    java_client: str, stack: Endpoints, topic: str, tmp_path: Path
) -> None:
    file = written(JAVA, "Send.java", tmp_path, stack.kafka_bootstrap, topic)
    run("javac", "-cp", java_client, file, folder=tmp_path)
    run("java", "-cp", f"{java_client}:{tmp_path}", "Send", folder=tmp_path)
    await require_accepted_at_home(stack.kafka_bootstrap, topic)


def test_the_correction_on_the_page_is_accepted() -> None:
    origin = Origin(BALANCE_CORRECTIONS, 0, 0, datetime.now(UTC), b"42", CORRECTION.encode(), ())
    verdict = judge_correction(origin, RULES)
    assert isinstance(verdict, AcceptedCorrection), verdict

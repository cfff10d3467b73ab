"""Producers that are not ours: librdkafka by way of confluent-kafka, and the console producer of Apache Kafka."""

import asyncio
import subprocess
from collections.abc import Sequence

from confluent_kafka import Producer

from pipeline.stack.jars import cache_folder, ensure_jars, locked_jars
from pipeline.stack.packages import java_program
from tests.support.stream import Message

_SECONDS_MAX = 60


async def send_by_confluent(bootstrap: str, topic: str, messages: Sequence[Message]) -> None:
    """With everything as librdkafka has it by default; so the partition is CRC32 of the key, not murmur2."""
    producer = Producer({"bootstrap.servers": bootstrap})
    refused: list[object] = []
    for key, value, *headers in messages:
        producer.produce(
            topic,
            value,
            key,
            headers=list(headers[0]) if headers else None,
            on_delivery=lambda error, _: refused.append(error) if error is not None else None,
        )
    assert await asyncio.to_thread(producer.flush, _SECONDS_MAX) == 0
    assert refused == []


async def send_by_console(bootstrap: str, topic: str, messages: Sequence[Message]) -> None:
    """Lines of `headers TAB key TAB value` on standard input: each needs a header, and nothing may hold a tab."""
    await asyncio.to_thread(_run_console_producer, bootstrap, topic, b"".join(map(_line, messages)))


def _line(message: Message) -> bytes:
    key, value, *headers = message
    written = b",".join(name.encode() + b":" + content for name, content in headers[0] if headers)
    line = b"\t".join((written, key or b"", value or b""))
    assert headers
    assert (line.count(b"\t"), line.count(b"\n")) == (2, 0)
    return line + b"\n"


def _run_console_producer(bootstrap: str, topic: str, lines: bytes) -> None:
    jars = ensure_jars(locked_jars(), cache_folder())
    # It lives for a second: no time in which the optimising compiler could pay for itself.
    java = (java_program(), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-cp", ":".join(map(str, jars)))
    options = ("--bootstrap-server", bootstrap, "--topic", topic)
    read_as = ("--reader-property", "parse.key=true", "--reader-property", "parse.headers=true")
    done = subprocess.run(
        [*java, "org.apache.kafka.tools.ConsoleProducer", *options, *read_as],
        input=lines,
        capture_output=True,
        timeout=_SECONDS_MAX,
        check=False,
    )
    # It ends with 0 even where the broker refused a record, and says so.
    assert done.returncode == 0, done.stderr.decode()
    assert b"ERROR" not in done.stderr + done.stdout, done.stderr.decode()

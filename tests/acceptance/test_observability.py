"""What an operator sees of real workers: logs, spans at a receiver, traces in the topic, and how fresh books are."""

import asyncio
import json
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from schemas.routing import home_lane
from schemas.topics import REALTIME_UPDATES
from tests.acceptance.test_membership import creations
from tests.support.events import NOON, encoded, event
from tests.support.stream import Message, Stream, WorkerProcess
from tests.support.waiting import until

TELLING = 918_273_645_546  # in no id, offset or instant by chance
PASSWORDS = ("Geheim-db-41", "Geheim-redis-42", "Geheim-otel-43")


def with_passwords(stream: Stream) -> dict[str, str]:
    """The stream's own database, which asks for no password, and a cache that is not there, which is logged."""
    return {
        "DATABASE_URL": stream.endpoints.database_url.replace("://folio@", f"://folio:{PASSWORDS[0]}@"),
        "REDIS_URL": f"redis://:{PASSWORDS[1]}@127.0.0.1:1/0",
    }


def lines_of(worker: WorkerProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in worker.log.splitlines()]


async def test_a_days_debug_log_names_its_batches_and_neither_secrets_nor_amounts(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")  # nobody is there, which is logged
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"authorization=Bearer%20{PASSWORDS[2]}")
    async with stream.database() as connection:  # a day that takes not a cent more: the database repeats its row
        await connection.execute(
            "INSERT INTO finance.daily_cash_balances_partitioned "
            "VALUES (1, 1, $1, 1, 0, $2, 0, 0, 0, $2, NULL, $2, 0, NULL, now())",
            NOON.date(),
            2**63 - 1,
        )
    day = stream.folio("produce", "--events", "1500", "--orgs", "30")
    assert day.returncode == 0, day.stderr
    telling = [event(number, org=org, amount=TELLING) for org in (1, 2) for number in range(901_000, 901_005)]
    await stream.send((str(body["org_id"]).encode(), encoded(body)) for body in telling)
    overrides = with_passwords(stream) | {"LOG_LEVEL": "debug", "BATCH_ROWS_MAX": "300", "TRACING_EXPORTER": "otlp"}
    with stream.worker(**overrides) as worker:
        await worker.wait_for_log("record rejected by the database, quarantined")
        await worker.wait_for_log("stamina.retry_scheduled")
        await until(lambda: consumed(stream, 1500), seconds=60)
        assert await worker.stop() == 0
        lines = lines_of(worker)
    for secret in (*PASSWORDS, str(TELLING), f"{TELLING:,}", str(2**63 - 1)):
        assert secret not in worker.log, secret
    by_event: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        by_event.setdefault(line["event"], []).append(line)
    of_batches = ("batch committed", "effect done", "record rejected by the database, quarantined")
    for name in (*of_batches, "batch rejected by the database, halving it", "stamina.retry_scheduled"):
        assert by_event[name], name
        for line in by_event[name]:
            assert re.fullmatch(r"[0-9a-f-]{36}", line["batch_id"]), line
            assert line["lanes"], line
            assert set(line["lanes"]) <= {0, 1}, line
    # What a batch does is told under one id by whoever does it; what is of no batch has none.
    committed = {line["batch_id"] for line in by_event["batch committed"]}
    assert len(committed) == len(by_event["batch committed"])
    assert {line["batch_id"] for line in by_event["effect done"] if line["effect"] == "publish"} <= committed
    for name in ("health served", "lanes claimed", "lanes released"):
        assert all("batch_id" not in line for line in by_event[name]), name


async def consumed(stream: Stream, records: int) -> bool:
    return sum((await stream.outcomes()).values()) >= records


# --- traces ---

SAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNSAMPLED = "00-11111111111111111111111111111111-2222222222222222-00"


def traced(body: dict[str, Any], traceparent: str, name: str = "traceparent") -> Message:
    headers = [("ce_specversion", b"1.0")] if name.startswith("ce_") else []
    return str(body["org_id"]).encode(), encoded(body), [*headers, (name, traceparent.encode())]


async def published(stream: Stream, count: int) -> dict[int, tuple[object, dict[str, bytes]]]:
    """By organisation, of its last update: the traceparent in the value, and the headers."""
    consumer = AIOKafkaConsumer(bootstrap_servers=stream.endpoints.kafka_bootstrap, group_id=None)
    await consumer.start()
    try:
        partitions = [TopicPartition(stream.prefix + REALTIME_UPDATES, lane) for lane in range(stream.lanes)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        found: dict[int, tuple[object, dict[str, bytes]]] = {}
        async with asyncio.timeout(20):
            while len(found) < count:
                record = await consumer.getone()
                update = json.loads(record.value)
                found[update["org_id"]] = (update.get("traceparent"), dict(record.headers))
        return found
    finally:
        await consumer.stop()


async def test_a_trace_reaches_the_topic_though_the_worker_dies_between_commit_and_publishing(stream: Stream) -> None:
    await stream.send(
        [
            traced(event(1, org=1), SAMPLED),
            traced(event(2, org=2), UNSAMPLED, "ce_traceparent"),
            traced(event(3, org=3), "00-broken-01"),
            (b"4", encoded(event(4, org=4))),
        ]
    )
    with stream.worker(WORKER_CRASH_AT="committed") as killed:
        assert await killed.wait() == -signal.SIGKILL
    with stream.worker(KAFKA_GROUP=f"{stream.prefix}successor") as successor:
        await stream.wait_until_consumed(4)
        assert await successor.stop() == 0
    assert await published(stream, 4) == {
        1: (SAMPLED, {"traceparent": SAMPLED.encode()}),
        2: (UNSAMPLED, {"traceparent": UNSAMPLED.encode()}),
        3: (None, {}),
        4: (None, {}),
    }
    report = await stream.prove()
    assert report.exit_code == 0, report
    followed = stream.folio("tail", "--from-beginning", "--limit", "4", "--idle-seconds", "5")
    assert f"trace {SAMPLED.split('-')[1]}" in followed.stdout


@contextmanager
def receiver() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """A collector: what it was sent, and where it listens."""
    received: list[ExportTraceServiceRequest] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            received.append(ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_a_workers_spans_are_at_the_collector_when_it_has_ended(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stream.send([traced(event(1, org=1), SAMPLED), traced(event(2, org=2), UNSAMPLED), *creations(3, 8)])
    with receiver() as (url, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")  # only the last flush sends
        with stream.worker(TRACING_EXPORTER="otlp", WORKER_NAME="night-shift") as worker:
            await stream.wait_until_consumed(10)
            assert await worker.stop() == 0
    (resource,) = [spans.resource for request in received for spans in request.resource_spans]
    said = {attribute.key: attribute.value.string_value for attribute in resource.attributes}
    assert (said["service.name"], said["service.instance.id"]) == ("folio-stream", "night-shift")
    spans: dict[str, list[Span]] = {}
    for request in received:
        for scope in (scope for each in request.resource_spans for scope in each.scope_spans):
            for span in scope.spans:
                spans.setdefault(span.name, []).append(span)
    assert spans.keys() == {"folio.batch", "folio.commit", "folio.publish", "folio.invalidate"}
    counts = [a.value.int_value for s in spans["folio.batch"] for a in s.attributes if a.key == "folio.outcome.applied"]
    assert sum(counts) == 10
    links = [link.trace_id.hex() for span in spans["folio.batch"] for link in span.links]
    assert links == [SAMPLED.split("-")[1]]
    batches = {span.span_id for span in spans["folio.batch"]}
    assert {span.parent_span_id for name, of in spans.items() if name != "folio.batch" for span in of} == batches


async def test_a_collector_that_never_answers_does_not_hold_the_end_past_the_grace(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        await stream.send(creations(1, 5))
        with stream.worker(TRACING_EXPORTER="otlp", WORKER_SHUTDOWN_GRACE_SECONDS="3") as worker:
            await stream.wait_until_consumed(5)
            asked_at = time.monotonic()
            assert await worker.stop() == 0
            assert time.monotonic() - asked_at < 3 + 2  # and an interpreter's end
            assert "the last spans were not sent in time" in worker.log


# --- freshness ---


def freshness(stream: Stream, *arguments: str) -> dict[str, Any]:
    shown = stream.folio("freshness", "--output", "json", *arguments)
    assert shown.returncode == 0, shown.stderr
    document: dict[str, Any] = json.loads(shown.stdout)
    return document


async def test_freshness_is_right_while_no_worker_runs_and_zero_when_one_has_caught_up(stream: Stream) -> None:
    await stream.send(creations(1, 5))
    with stream.worker() as worker:
        await stream.wait_until_consumed(5)
        assert await worker.stop() == 0
    late, later = 71, 72
    await stream.send((b"71", encoded(event(number, org=late))) for number in (1, 2, 3))
    await asyncio.sleep(1.5)
    await stream.send([(b"72", encoded(event(1, org=later))), (b"73", b"poison")])
    found = freshness(stream, "--worst", "2")
    assert (found["waiting"], found["complete"]) == (5, True)
    worst, next_worst = found["organisations"]  # poison is nobody's
    assert (worst["org_id"], worst["waiting"], next_worst["org_id"]) == (late, 3, later)
    assert found["age_seconds"] == worst["age_seconds"] >= next_worst["age_seconds"] + 1.4 >= 1.4
    lanes = {lane["lane"]: lane["waiting"] for lane in found["lanes"]}
    expected = dict.fromkeys(range(2), 0)
    for org, count in ((late, 3), (later, 1), (73, 1)):
        expected[home_lane(org, 2)] += count
    assert lanes == expected
    with stream.worker() as worker:
        await stream.wait_until_consumed(10)
        assert await worker.stop() == 0
    found = freshness(stream)
    assert (found["age_seconds"], found["waiting"], found["organisations"]) == (0, 0, [])


async def test_freshness_says_where_it_read_no_further(stream: Stream) -> None:
    await stream.send(((b"1", encoded(event(number, org=1))) for number in range(1, 8)), partition=1)
    cut = freshness(stream, "--records-max", "6", "--worst", "0")
    assert (cut["waiting"], cut["complete"], cut["organisations"]) == (6, False, [])
    assert [lane["complete"] for lane in cut["lanes"]] == [True, False]
    whole = stream.folio("freshness", "--records-max", "7").stdout
    assert re.search(r"^7 records wait, the oldest for \d", whole, re.MULTILINE), whole


async def test_a_workers_freshness_grows_while_the_database_holds_it_up_and_falls_to_zero(stream: Stream) -> None:
    with stream.worker(DATABASE_LOCK_TIMEOUT_SECONDS="1") as worker:
        await worker.wait_for_log("lanes claimed")
        async with stream.database() as connection, connection.transaction():
            await connection.execute("SELECT FROM ops.lanes FOR UPDATE")
            await stream.send(creations(1, 10))

            async def grown() -> bool:
                return worker.metrics()["folio_freshness_seconds"] > 2.5

            await until(grown, seconds=20)
            lags = [value for name, value in worker.metrics().items() if name.startswith("folio_lag_seconds")]
            assert max(lags) > 2.5
        await stream.wait_until_consumed(10)

        async def fresh() -> bool:
            return worker.metrics()["folio_freshness_seconds"] == 0

        await until(fresh, seconds=10)
        failed = 'folio_failed_attempts_total{error="DatabaseUnavailable",step="commit"}'
        assert worker.metrics()[failed] >= 1
        assert await worker.stop() == 0

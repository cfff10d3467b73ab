"""A day on servers that trust nobody: each login does its part, and only that; no password is seen anywhere."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from subprocess import CompletedProcess
from urllib.parse import quote

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from pipeline.broker import broker_options, servers_of
from schemas.topics import BALANCE_CORRECTIONS, FINANCE_EVENTS, REALTIME_UPDATES
from tests.security.conftest import GROUP, SecuredStream
from tests.security.logins import PASSWORDS
from tests.support.stream import WorkerProcess

pytestmark = pytest.mark.timeout(240)
EVENTS = 300
SERVERS = {"DATABASE_URL": "postgres", "KAFKA_BOOTSTRAP": "kafka", "REDIS_URL": "valkey"}
WRONG = "not-th1s"


def shown(texts: Iterable[str]) -> list[str]:
    """The logins of whose passwords a piece is in one of the texts, plain or percent-encoded."""
    whole = "\n".join(texts)
    pieces = {who: [*re.split(r"[^\w-]+", password), quote(password, safe="")] for who, password in PASSWORDS.items()}
    return [who for who, each in pieces.items() if any(piece in whole for piece in each if len(piece) > 1)]


def of_the_process(worker: WorkerProcess) -> list[str]:
    """What anybody on the machine sees of a process, and whoever inspects its container."""
    return [Path(f"/proc/{worker.pid}/{name}").read_text() for name in ("cmdline", "environ")]


async def test_every_login_does_its_part_and_the_books_are_right(secured: SecuredStream, tmp_path: Path) -> None:
    stream, said = secured.stream, list[str]()

    def folio(who: str, *arguments: str) -> CompletedProcess[str]:
        done = stream.folio(*arguments, **secured.settings(who))
        said.extend((done.stdout, done.stderr))
        assert done.returncode == 0, f"{who}: {arguments}\n{done.stdout}\n{done.stderr}"
        return done

    folio("operator", "topics", "create")
    with stream.worker(**secured.settings("worker")) as worker:
        await worker.wait_for_log("lanes claimed")
        said += of_the_process(worker)
        sent = json.loads(folio("producer", "produce", "--events", str(EVENTS), "--output", "json").stdout)
        await stream.wait_until_consumed(sent["acknowledged"])
        for command in _OPERATORS:
            folio("operator", *command)
        loaded = tmp_path / "hotels.csv"
        loaded.write_text(
            "org_id,property_id,name,currency,opening_cash_cents,time_zone\n9000,1,Inn,INR,0,Asia/Kolkata\n"
        )
        folio("operator", "properties", "load", str(loaded), "--execute")
        updates = folio(
            "subscriber", "tail", "--from-beginning", "--limit", "5", "--output", "json"
        ).stdout.splitlines()
        assert await worker.stop() == 0
    report = json.loads(folio("operator", "verify", "--output", "json").stdout)
    outcomes = ("applied", "duplicate", "stale", "conflict", "quarantined")
    assert sum(report["outcomes"][each] for each in outcomes) == sent["acknowledged"]
    assert "***" in folio("worker", "settings", "show").stdout
    assert shown([*said, worker.log]) == []
    await _reads_its_own(secured, json.loads(updates[0])["org_id"])


_OPERATORS = (
    ("doctor",),
    ("status",),
    ("freshness",),
    ("topics", "check"),
    ("positions", "show"),
    ("dlq", "list"),
    ("dlq", "histogram"),
    ("properties", "list"),
    ("pause", "lane", "1", "--reason", "a test"),
    ("resume", "lane", "1"),
    ("dlq", "redrive", "--reason", "malformed"),
)


async def _reads_its_own(secured: SecuredStream, org: int) -> None:
    """A reader sees the organisation that it names, and none when it names none."""
    reader = await asyncpg.connect(secured.servers.database("reader", secured.stream.prefix.rstrip(".")))
    try:
        count = "SELECT count(DISTINCT org_id) FROM finance.daily_cash_balances_partitioned"
        assert await reader.fetchval(count) == 0
        await reader.execute("SELECT set_config('folio.org_id', $1, false)", str(org))
        assert await reader.fetchval(count) == 1
    finally:
        await reader.close()


@pytest.mark.parametrize(
    ("who", "topic"),
    [
        ("producer", REALTIME_UPDATES),
        ("subscriber", FINANCE_EVENTS),
        ("subscriber", REALTIME_UPDATES),
        ("worker", FINANCE_EVENTS),
        ("worker", BALANCE_CORRECTIONS),
        ("operator", REALTIME_UPDATES),
    ],
)
async def test_nobody_writes_what_others_are_believed_for(secured: SecuredStream, who: str, topic: str) -> None:
    await _topics_made(secured)
    producer = AIOKafkaProducer(**broker_options(secured.servers.broker(who)), request_timeout_ms=5_000)
    await producer.start()
    try:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait(secured.stream.prefix + topic, b"{}", partition=0)
    finally:
        await producer.stop()


async def test_a_producer_reads_nothing_of_what_it_writes(secured: SecuredStream) -> None:
    await _topics_made(secured)
    consumer = AIOKafkaConsumer(**broker_options(secured.servers.broker("producer")), auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(secured.stream.prefix + FINANCE_EVENTS, 0)])
        with pytest.raises(TopicAuthorizationFailedError):
            await consumer.getone()
    finally:
        await consumer.stop()


async def test_a_subscriber_does_not_even_see_the_other_topics(secured: SecuredStream) -> None:
    await _topics_made(secured)
    consumer = AIOKafkaConsumer(**broker_options(secured.servers.broker("subscriber")))
    await consumer.start()
    try:
        assert await consumer.topics() == {secured.stream.prefix + REALTIME_UPDATES}
    finally:
        await consumer.stop()


async def test_nobody_but_workers_joins_their_group(secured: SecuredStream) -> None:
    await _topics_made(secured)
    options = broker_options(secured.servers.broker("subscriber"))
    topic = secured.stream.prefix + REALTIME_UPDATES
    consumer = AIOKafkaConsumer(topic, **options, group_id=GROUP, enable_auto_commit=False)
    try:
        with pytest.raises(GroupAuthorizationFailedError):
            await consumer.start()
    finally:
        await consumer.stop()


async def test_no_server_is_reached_in_the_clear(secured: SecuredStream) -> None:
    addresses = _addresses(secured)
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="no encryption"):
        await asyncpg.connect(addresses["DATABASE_URL"].partition("?")[0], ssl="disable")
    consumer = AIOKafkaConsumer(bootstrap_servers=servers_of(addresses["KAFKA_BOOTSTRAP"]), request_timeout_ms=3_000)
    with pytest.raises(KafkaError):
        await consumer.start()
    await consumer.stop()
    cache = Redis.from_url(addresses["REDIS_URL"].replace("rediss://", "redis://").partition("?")[0])
    with pytest.raises(RedisError):
        await cache.ping()
    await cache.aclose()


@pytest.mark.parametrize("server", SERVERS)
async def test_a_wrong_password_is_told_by_doctor_and_not_shown(secured: SecuredStream, server: str) -> None:
    wrong = _addresses(secured, password=WRONG)[server]
    done = secured.stream.folio("doctor", "--output", "json", **secured.settings("operator", **{server: wrong}))
    assert done.returncode == 1, done.stdout
    assert re.search("password|uthentication", _failures(done.stdout)[SERVERS[server]])
    assert WRONG not in done.stdout + done.stderr
    assert shown([done.stdout, done.stderr]) == []


@pytest.mark.parametrize("server", SERVERS)
async def test_a_server_with_a_strangers_certificate_is_not_believed(secured: SecuredStream, server: str) -> None:
    wrong = _addresses(secured, ca=secured.servers.stranger.ca)[server]
    done = secured.stream.folio("doctor", "--output", "json", **secured.settings("operator", **{server: wrong}))
    assert done.returncode == 1, done.stdout
    assert "certificate verify failed" in _failures(done.stdout)[SERVERS[server]]
    assert shown([done.stdout, done.stderr]) == []


@pytest.mark.parametrize(
    ("server", "text"),
    [
        ("DATABASE_URL", "authentication failed"),
        ("KAFKA_BOOTSTRAP", "Authentication failed"),
        ("REDIS_URL", "password"),
    ],
)
async def test_a_worker_that_is_not_let_in_says_so_and_shows_no_password(
    secured: SecuredStream, server: str, text: str
) -> None:
    done = await _topics_made(secured)
    wrong = _addresses(secured, password=WRONG)[server]
    with secured.stream.worker(**secured.settings("worker", **{server: wrong})) as worker:
        if server == "REDIS_URL":  # of which a worker knows when it has something to invalidate
            sent = secured.stream.folio("produce", "--events", "20", **secured.settings("producer"))
            assert sent.returncode == 0, sent.stderr
        await worker.wait_for_log(text, seconds=60)
        await worker.stop()
    assert WRONG not in worker.log
    assert shown([worker.log, done.stdout]) == []


def _failures(document: str) -> dict[str, str]:
    """What doctor found wrong, by the name of the check."""
    return {each["name"]: each["detail"] for each in json.loads(document)["findings"] if each["level"] == "fail"}


def _addresses(secured: SecuredStream, *, password: str | None = None, ca: Path | None = None) -> dict[str, str]:
    servers = secured.servers
    return {
        "DATABASE_URL": servers.database("worker", secured.stream.prefix.rstrip("."), password=password, ca=ca),
        "KAFKA_BOOTSTRAP": servers.broker("worker", password=password, ca=ca),
        "REDIS_URL": servers.cache("worker", password=password, ca=ca),
    }


async def _topics_made(secured: SecuredStream) -> CompletedProcess[str]:
    """Whichever test comes first."""
    done = secured.stream.folio("topics", "create", **secured.settings("operator"))
    assert done.returncode == 0, done.stderr
    return done

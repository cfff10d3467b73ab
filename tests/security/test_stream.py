"""A day on servers that trust nobody: each login does its part, and only that; no password is seen anywhere."""

import json
from collections.abc import Iterable
from pathlib import Path
from subprocess import CompletedProcess
from urllib.parse import quote

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError

from pipeline.broker import broker_options
from schemas.topics import BALANCE_CORRECTIONS, FINANCE_EVENTS, REALTIME_UPDATES
from tests.security.conftest import GROUP, SecuredStream
from tests.security.logins import PASSWORDS
from tests.support.stream import WorkerProcess

pytestmark = pytest.mark.timeout(240)
EVENTS = 300


def shown(texts: Iterable[str]) -> list[str]:
    """The logins whose passwords are in one of the texts, plain or percent-encoded."""
    whole = "\n".join(texts)
    return [who for who, password in PASSWORDS.items() if password in whole or quote(password, safe="") in whole]


def seen_by_ps(worker: WorkerProcess) -> list[str]:
    """What anybody on the machine, or whoever inspects the container, sees of a process."""
    assert worker.process is not None
    return [Path(f"/proc/{worker.process.pid}/{name}").read_text() for name in ("cmdline", "environ")]


async def test_every_login_does_its_part_and_the_books_are_right(secured: SecuredStream) -> None:
    stream, said = secured.stream, list[str]()

    def folio(who: str, *arguments: str) -> CompletedProcess[str]:
        done = stream.folio(*arguments, **secured.settings(who))
        said.extend((done.stdout, done.stderr))
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done

    folio("operator", "topics", "create")
    with stream.worker(**secured.settings("worker")) as worker:
        await worker.wait_for_log("lanes claimed")
        said += seen_by_ps(worker)
        sent = json.loads(folio("producer", "produce", "--events", str(EVENTS), "--output", "json").stdout)
        await stream.wait_until_consumed(sent["acknowledged"])
        folio("operator", "doctor")
        folio("operator", "status")
        assert await worker.stop() == 0
    report = json.loads(folio("operator", "verify", "--output", "json").stdout)
    assert sum(report["outcomes"].values()) == sent["acknowledged"]
    assert "***" in folio("worker", "settings", "show").stdout
    assert shown([*said, worker.log]) == []


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


@pytest.mark.parametrize(("who", "topic"), [("producer", FINANCE_EVENTS), ("subscriber", FINANCE_EVENTS)])
async def test_nobody_reads_what_is_not_theirs(secured: SecuredStream, who: str, topic: str) -> None:
    await _topics_made(secured)
    consumer = AIOKafkaConsumer(**broker_options(secured.servers.broker(who)), auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(secured.stream.prefix + topic, 0)])
        with pytest.raises(TopicAuthorizationFailedError):
            await consumer.getone()
    finally:
        await consumer.stop()


async def test_nobody_but_workers_joins_their_group(secured: SecuredStream) -> None:
    await _topics_made(secured)
    topic = secured.stream.prefix + REALTIME_UPDATES
    options = broker_options(secured.servers.broker("subscriber"))
    consumer = AIOKafkaConsumer(topic, **options, group_id=GROUP, enable_auto_commit=False)
    try:
        await consumer.start()
        with pytest.raises(GroupAuthorizationFailedError):
            await consumer.getone()
    finally:
        await consumer.stop()


@pytest.mark.parametrize("server", ["DATABASE_URL", "KAFKA_BOOTSTRAP", "REDIS_URL"])
async def test_a_wrong_password_is_told_by_doctor_and_not_shown(secured: SecuredStream, server: str) -> None:
    wrong = _addresses(secured, password="not-th1s")[server]
    done = secured.stream.folio("doctor", **secured.settings("operator", **{server: wrong}))
    assert done.returncode == 1, done.stdout
    assert "not-th1s" not in done.stdout + done.stderr
    assert shown([done.stdout, done.stderr]) == []


@pytest.mark.parametrize("server", ["DATABASE_URL", "KAFKA_BOOTSTRAP", "REDIS_URL"])
async def test_a_server_with_a_strangers_certificate_is_not_believed(secured: SecuredStream, server: str) -> None:
    wrong = _addresses(secured, ca=secured.servers.stranger.ca)[server]
    done = secured.stream.folio("doctor", "--output", "json", **secured.settings("operator", **{server: wrong}))
    assert done.returncode == 1, done.stdout
    assert "certificate verify failed" in done.stdout
    assert shown([done.stdout, done.stderr]) == []


@pytest.mark.parametrize("server", ["DATABASE_URL", "KAFKA_BOOTSTRAP", "REDIS_URL"])
async def test_a_worker_that_is_not_let_in_says_so_and_shows_no_password(secured: SecuredStream, server: str) -> None:
    await _topics_made(secured)
    wrong = _addresses(secured, password="not-th1s")[server]
    with secured.stream.worker(**secured.settings("worker", **{server: wrong})) as worker:
        await worker.wait_for_log("uthentication" if server != "REDIS_URL" else "password")
        await worker.stop()
    assert "not-th1s" not in worker.log
    assert shown([worker.log]) == []


def _addresses(secured: SecuredStream, *, password: str | None = None, ca: Path | None = None) -> dict[str, str]:
    servers = secured.servers
    return {
        "DATABASE_URL": servers.database("worker", secured.stream.prefix.rstrip("."), password=password, ca=ca),
        "KAFKA_BOOTSTRAP": servers.broker("worker", password=password, ca=ca),
        "REDIS_URL": servers.cache("worker", password=password, ca=ca),
    }


async def _topics_made(secured: SecuredStream) -> None:
    """Whichever test comes first."""
    done = secured.stream.folio("topics", "create", **secured.settings("operator"))
    assert done.returncode == 0, done.stderr

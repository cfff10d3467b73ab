"""A stream of its own for a test: database, topics, group; and the real commands, run against it."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from pipeline.oracle.reconcile import reconcile
from pipeline.oracle.report import Report
from pipeline.stack import Endpoints
from pipeline.topics import create_topics
from schemas.routing import home_lane
from schemas.topics import FINANCE_EVENTS, Feed
from tests.support.starting import Start, Started, forked

# Key, value, and headers where it has some.
Message = tuple[bytes | None, bytes | None] | tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes]]]
_COMMAND_SECONDS_MAX: Final = 100.0


@dataclass
class Stream:
    """What a test needs to feed a stream, run its workers, and prove its books."""

    endpoints: Endpoints
    prefix: str
    lanes: int
    folder: Path
    overrides: dict[str, str] = field(default_factory=dict)
    start: Start = forked

    @property
    def topic(self) -> str:
        return self.prefix + FINANCE_EVENTS

    def environment(self, **overrides: str) -> dict[str, str]:
        """The environment of a command of this stream; `overrides` name settings without FOLIO_."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("FOLIO_")}
        settings = {
            "STACK_DIR": str(self.folder / "no-stack"),
            "DATABASE_URL": self.endpoints.database_url,
            "KAFKA_BOOTSTRAP": self.endpoints.kafka_bootstrap,
            "REDIS_URL": self.endpoints.redis_url,
            "KAFKA_TOPIC_PREFIX": self.prefix,
            "KAFKA_GROUP": f"{self.prefix}group",
            "KAFKA_LANES": str(self.lanes),
            # Shorter than in production: a killed worker's lanes are given to the next one after this silence.
            "KAFKA_SESSION_TIMEOUT_SECONDS": "6",
        }
        settings |= self.overrides | overrides
        return clean | {f"FOLIO_{name}": value for name, value in settings.items()}

    def folio(self, *arguments: str, **overrides: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        output, errors = (self.folder / f"command-{uuid4().hex[:8]}.{kind}" for kind in ("out", "err"))
        process = self.start(list(arguments), self.environment(**overrides), output, errors)
        process.join(_COMMAND_SECONDS_MAX)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"folio {' '.join(arguments)}: not done within {_COMMAND_SECONDS_MAX:g} s")
        told = [path.read_text() for path in (output, errors)]
        return subprocess.CompletedProcess(arguments, process.exitcode, *told)

    def worker(self, *arguments: str, **overrides: str) -> "WorkerProcess":
        """Start `folio run`; use it as a context manager."""
        log = self.folder / f"worker-{uuid4().hex[:8]}.log"
        return WorkerProcess(self.start, ["run", *arguments], self.environment(**overrides), log)

    async def send(
        self, messages: Iterable[Message], *, partition: int | None = None, feed: Feed = Feed.EVENTS
    ) -> None:
        """Send in order, each to its key's home lane unless told otherwise, and wait for every acknowledgement."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.endpoints.kafka_bootstrap, acks="all", enable_idempotence=True, linger_ms=5
        )
        await producer.start()
        try:
            sent = []
            for key, value, *headers in messages:
                lane = partition if partition is not None else home_lane(int(key or b"0"), self.lanes)
                own = {"headers": headers[0]} if headers else {}
                sent.append(await producer.send(self.prefix + feed, key=key, value=value, partition=lane, **own))
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(self.endpoints.database_url)
        try:
            yield connection
        finally:
            await connection.close()

    async def published(self) -> int:
        """Events in their topic, whoever has sent them."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.endpoints.kafka_bootstrap)
        await consumer.start()
        try:
            ends = await consumer.end_offsets([TopicPartition(self.topic, lane) for lane in range(self.lanes)])
            return sum(ends.values())
        finally:
            await consumer.stop()

    async def outcomes(self) -> dict[str, int]:
        """Records by what became of them, over all lanes."""
        async with self.database() as connection:
            row = await connection.fetchrow(
                "SELECT coalesce(sum(applied), 0) AS applied, coalesce(sum(duplicate), 0) AS duplicate, "
                "coalesce(sum(stale), 0) AS stale, coalesce(sum(conflict), 0) AS conflict, "
                "coalesce(sum(quarantined), 0) AS quarantined FROM ops.lanes"
            )
        assert row is not None
        return {name: int(count) for name, count in row.items()}

    async def wait_until_consumed(self, records: int, seconds: float = 60) -> None:
        """Wait until so many records are committed and everything committed is published and invalidated."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if sum((await self.outcomes()).values()) >= records and await self._effects_done():
                return
            await asyncio.sleep(0.1)
        logs = "\n".join(f"{log.name}\n{log.read_text()[-4000:]}" for log in sorted(self.folder.glob("worker-*.log")))
        raise AssertionError(f"only {await self.outcomes()} of {records} records after {seconds} s\n{logs}")

    async def _effects_done(self) -> bool:
        async with self.database() as connection:
            waiting = await connection.fetchval(
                "SELECT count(*) FROM ops.lanes WHERE outbox_seq > least(published_seq, invalidated_seq)"
            )
        return not waiting

    async def prove(self) -> Report:
        """The oracle's report; a test asserts that it has no differences."""
        return await reconcile(
            self.endpoints.database_url, self.endpoints.kafka_bootstrap, topic_prefix=self.prefix, retention_months=24
        )


class WorkerProcess:
    """A real `folio run`, killed at the end of the block whatever happened."""

    def __init__(self, start: Start, arguments: list[str], environment: Mapping[str, str], log: Path) -> None:
        self._start = start
        self._arguments = arguments
        self._environment = environment
        self._log = log
        self._process: Started | None = None

    def __enter__(self) -> "WorkerProcess":
        self._log.touch()
        self._process = self._start(self._arguments, self._environment, self._log, self._log)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        if self.exit_code is None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:  # so young that it has no group of its own yet
                self._process.kill()
        self._process.join()

    @property
    def started(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative where a signal ended it."""
        assert self._process is not None
        return self._process.exitcode

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def metrics(self) -> dict[str, float]:
        """What it tells at /metrics: each sample by its name and labels."""
        served = next(line for line in self.log.splitlines() if "health served" in line)
        with urllib.request.urlopen(f"http://127.0.0.1:{json.loads(served)['port']}/metrics", timeout=5) as answer:
            page: str = answer.read().decode()
        samples = (line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def signal(self, number: signal.Signals) -> None:
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def wait(self, seconds: float = 60) -> int:
        """Wait for the end of the process; returns its exit code."""
        deadline = time.monotonic() + seconds
        while (code := self.exit_code) is None:
            assert time.monotonic() < deadline, f"the worker still runs after {seconds} s\n{self.log}"
            await asyncio.sleep(0.05)
        return code

    async def wait_for_log(self, text: str, seconds: float = 30) -> None:
        """Wait until the log holds `text`."""
        deadline = time.monotonic() + seconds
        while text not in self.log:
            assert self.exit_code is None or text in self.log, f"the worker ended\n{self.log}"
            assert time.monotonic() < deadline, f"{text!r} not in the log after {seconds} s\n{self.log}"
            await asyncio.sleep(0.05)

    async def stop(self, seconds: float = 40) -> int:
        """SIGTERM, and the exit code of an orderly end."""
        self.signal(signal.SIGTERM)
        return await self.wait(seconds)


async def new_topics(endpoints: Endpoints, prefix: str, lanes: int) -> None:
    """The topics of a stream, fresh."""
    created = await create_topics(endpoints.kafka_bootstrap, lanes, 1, prefix)
    assert len(created) == 5

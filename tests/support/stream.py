"""A stream of its own for a test: database, topics, group; and the real commands, run against it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import asyncpg
from aiokafka import AIOKafkaProducer

from pipeline.oracle.reconcile import reconcile
from pipeline.oracle.report import Report
from pipeline.stack import Endpoints
from pipeline.topics import create_topics
from schemas.routing import home_lane
from schemas.topics import FINANCE_EVENTS, Feed

# Key, value, and headers where it has some.
Message = tuple[bytes | None, bytes | None] | tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes]]]
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class Stream:
    """What a test needs to feed a stream, run its workers, and prove its books."""

    endpoints: Endpoints
    prefix: str
    lanes: int
    folder: Path
    overrides: dict[str, str] = field(default_factory=dict)

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
        return subprocess.run(
            [sys.executable, "-m", "pipeline.cli", *arguments],
            env=self.environment(**overrides),
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def worker(self, *arguments: str, **overrides: str) -> "WorkerProcess":
        """Start `folio run`; use it as a context manager."""
        log = self.folder / f"worker-{uuid4().hex[:8]}.log"
        return WorkerProcess(["run", *arguments], self.environment(**overrides), log)

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

    def __init__(self, arguments: list[str], environment: Mapping[str, str], log: Path) -> None:
        self._command = [sys.executable, "-m", "pipeline.cli", *arguments]
        self._environment = dict(environment)
        self._log = log
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "WorkerProcess":
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                self._command, env=self._environment, cwd=REPOSITORY, stdout=log, stderr=log, process_group=0
            )
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

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
        assert self.process is not None
        self.process.send_signal(number)

    async def wait(self, seconds: float = 60) -> int:
        """Wait for the end of the process; returns its exit code."""
        assert self.process is not None
        deadline = time.monotonic() + seconds
        while (code := self.process.poll()) is None:
            assert time.monotonic() < deadline, f"the worker still runs after {seconds} s\n{self.log}"
            await asyncio.sleep(0.05)
        return code

    async def wait_for_log(self, text: str, seconds: float = 30) -> None:
        """Wait until the log holds `text`."""
        deadline = time.monotonic() + seconds
        while text not in self.log:
            assert self.process is not None
            assert self.process.poll() is None or text in self.log, f"the worker ended\n{self.log}"
            assert time.monotonic() < deadline, f"{text!r} not in the log after {seconds} s\n{self.log}"
            await asyncio.sleep(0.05)

    async def stop(self, seconds: float = 40) -> int:
        """SIGTERM, and the exit code of an orderly end."""
        self.signal(signal.SIGTERM)
        return await self.wait(seconds)


async def new_topics(endpoints: Endpoints, prefix: str, lanes: int) -> None:
    """The topics of a stream, fresh."""
    created = await create_topics(endpoints.kafka_bootstrap, lanes, 1, prefix)
    assert len(created) == 4

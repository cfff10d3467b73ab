"""A believable trading day through the whole pipeline: `make run`.

stack up -> migrate -> topics -> workers -> produce, while progress moves -> wait for the last update -> prove
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg
from prometheus_client.parser import text_string_to_metric_families

from pipeline.errors import BrokerUnavailable, Stalled
from pipeline.oracle import Report, reconcile
from pipeline.settings import Settings
from pipeline.simulator.day import trading_day
from pipeline.simulator.plan import Opening, Plan
from pipeline.simulator.producing import Generated, Produced, next_id_base, produce, topics_of, trickle
from pipeline.stack import Endpoints
from pipeline.stack.ports import free_neighbours
from pipeline.status import StatusReader, StreamStatus, open_status
from pipeline.storage.connect import connect
from pipeline.storage.migrate import migrate
from pipeline.topics import create_topics
from pipeline.translate import database_errors
from schemas.topics import Feed

_LOOK_SECONDS: Final = 0.1
_SHOW_SECONDS: Final = 0.5
_PATIENCE_SECONDS: Final = 60.0  # without any progress
_TRICKLE_PER_SECOND: Final = 50.0
# Of each hotel its closing before the day, the last day that it counted, and what the day has already.
_OPENINGS: Final = """
    SELECT org_id, property_id,
           coalesce((array_agg(closing_balance_cents ORDER BY balance_date DESC)
                     FILTER (WHERE balance_date < $1))[1], 0) AS closing_cents,
           max(balance_date) FILTER (WHERE balance_date < $1 AND declared_closing_cents IS NOT NULL) AS counted_on,
           ARRAY[coalesce(sum(cash_received_cents) FILTER (WHERE balance_date = $1), 0)::bigint,
                 coalesce(sum(bank_received_cents) FILTER (WHERE balance_date = $1), 0)::bigint,
                 coalesce(sum(cash_expenses_cents) FILTER (WHERE balance_date = $1), 0)::bigint,
                 coalesce(sum(bank_expenses_cents) FILTER (WHERE balance_date = $1), 0)::bigint] AS figures
    FROM finance.daily_cash_balances_partitioned
    WHERE org_id <= $2 AND balance_date <= $1
    GROUP BY org_id, property_id
"""
_A_HOTEL: Final = """
    SELECT org_id, property_id
    FROM finance.daily_cash_balances_partitioned
    WHERE balance_date = $1
    ORDER BY org_id, property_id
    LIMIT 1
"""
_FIRST_DAY_BACK: Final = 6  # the first run trades a week ago, each later run a day later, until today


@dataclass(frozen=True, slots=True)
class Moment:
    """What the progress shows. Rates are since the moment before."""

    produced: int
    status: StreamStatus
    events_per_second: float
    commit_seconds_mean: float | None


@dataclass(frozen=True, slots=True)
class Day:
    """A day that went through the pipeline."""

    plan: Plan
    seconds: float  # from the first message sent to the last update published
    outcomes: dict[str, int]  # of this day's records alone, corrections included
    corrections: int  # of those records


Show = Callable[[Moment], None]


async def prepare(settings: Settings, endpoints: Endpoints) -> None:
    """Migrations and topics: what a fresh stack lacks."""
    with database_errors("connecting"):
        connection = await connect(endpoints.database_url, settings.database, "folio demo")
    try:
        await migrate(connection)
    finally:
        await connection.close()
    kafka = settings.kafka
    await create_topics(endpoints.kafka_bootstrap, kafka.lanes, kafka.replication_factor, kafka.topic_prefix)


async def next_plan(settings: Settings, endpoints: Endpoints, events: int, orgs: int) -> Plan:
    """The day after the last one in the books, on what it left, with ids that no run before has used."""
    with database_errors("connecting"):
        connection = await connect(endpoints.database_url, settings.database, "folio demo")
    try:
        last = await connection.fetchval("SELECT max(balance_date) FROM finance.daily_cash_balances_partitioned")
        today = datetime.now(ZoneInfo(settings.rules.default_time_zone)).date()
        day = day_after(last, today)
        openings = await _openings(connection, day, orgs)
    finally:
        await connection.close()
    id_base = await next_id_base(endpoints.kafka_bootstrap, topics_of(settings.kafka.topic_prefix))
    return Plan(day=day, events=events, orgs=orgs, id_base=id_base, openings=openings)


async def _openings(connection: asyncpg.Connection, day: date, orgs: int) -> dict[tuple[int, int], Opening]:
    """What the hotels have in their drawers before the day: they count it, and would not forget it over night."""
    with database_errors("reading what the hotels have in their drawers"):
        rows = await connection.fetch(_OPENINGS, day, orgs)
    return {
        (row["org_id"], row["property_id"]): Opening(row["closing_cents"], row["counted_on"], tuple(row["figures"]))
        for row in rows
    }


def day_after(last: date | None, today: date) -> date:
    """The day to trade: the one after `last`, never later than today."""
    if last is None:
        return today - timedelta(days=_FIRST_DAY_BACK)
    return min(last + timedelta(days=1), today)


async def a_hotel(endpoints: Endpoints, day: date) -> tuple[int, int] | None:
    """Organisation and property of one that has a balance of the day; None where none has."""
    with database_errors("looking for a hotel"):
        connection = await asyncpg.connect(endpoints.database_url)
        try:
            row = await connection.fetchrow(_A_HOTEL, day)
        finally:
            await connection.close()
    return (row["org_id"], row["property_id"]) if row is not None else None


@contextmanager
def running_workers(settings: Settings, workers: int, log: Path) -> Iterator["Workers"]:
    """`folio run` as an operator would start it; stopped in order at the end of the block."""
    port = free_neighbours(workers)
    environment = os.environ | {
        "FOLIO_STACK_DIR": str(settings.stack.dir),
        "FOLIO_WORKER_METRICS_PORT": str(port),
    }
    command = [sys.executable, "-m", "pipeline.cli", "run", "--workers", str(workers)]
    with log.open("ab") as output:
        # A group of its own: Ctrl-C ends the trickle first, and the workers after it.
        process = subprocess.Popen(command, env=environment, stderr=output, process_group=0)
    try:
        yield Workers(process, [port + number for number in range(workers)], log)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(settings.worker.shutdown_grace_seconds + 10)


class Workers:
    """Running workers, as far as their pages tell."""

    def __init__(self, process: "subprocess.Popen[bytes]", ports: list[int], log: Path) -> None:
        self._process = process
        self._ports = ports
        self._log = log

    async def wait_until_ready(self) -> None:
        """Every worker owns lanes. Raises Stalled when that does not come about."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not all([await asyncio.to_thread(_answers, port) for port in self._ports]):
            if self._process.poll() is not None:
                raise Stalled(f"the workers ended with exit code {self._process.returncode}; see {self._log}")
            if time.monotonic() > deadline:
                raise Stalled(f"the workers own no lanes after {_PATIENCE_SECONDS:.0f} s; see {self._log}")
            await asyncio.sleep(_LOOK_SECONDS)

    async def commit_seconds(self) -> tuple[float, float]:
        """Seconds spent in transactions so far, and how many they were."""
        pages = [await asyncio.to_thread(_page, port, "metrics") for port in self._ports]
        samples = [
            sample
            for page in pages
            for family in text_string_to_metric_families(page or "")
            for sample in family.samples
        ]
        return (
            sum(sample.value for sample in samples if sample.name == "folio_commit_seconds_sum"),
            sum(sample.value for sample in samples if sample.name == "folio_commit_seconds_count"),
        )


def _answers(port: int) -> bool:
    return _page(port, "readyz") is not None


def _page(port: int, name: str) -> str | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}", timeout=2) as answer:
            body: bytes = answer.read()
            return body.decode()
    # Not listening yet, or 503: not ready. While nobody listens a connection may meet itself, and hear what it says.
    except (OSError, HTTPException):
        return None


async def trade(settings: Settings, endpoints: Endpoints, plan: Plan, workers: Workers, show: Show) -> Day:
    """Send the plan's day and wait until its last update is published. Raises Stalled when nothing moves any more."""
    # Simulated before it is sent: the seconds below are the pipeline's, not the simulator's.
    messages = list(trading_day(plan))
    topics = topics_of(settings.kafka.topic_prefix)
    async with _watching(settings, endpoints) as reader:
        before = await reader.read()
        progress = _Progress(workers, show, before)
        started = time.monotonic()
        sending = asyncio.create_task(
            produce(endpoints.kafka_bootstrap, Generated(iter(messages)), on_progress=progress.sent, topics=topics)
        )
        try:
            ended = await progress.follow(reader, before.consumed + len(messages), sending)
            produced = await sending
        finally:
            sending.cancel()
            await asyncio.wait({sending})
        if produced.acknowledged != len(messages):
            raise BrokerUnavailable(f"only {produced.acknowledged} of {len(messages)} messages were acknowledged")
        after = (await reader.read()).outcomes()
    outcomes = {name: count - before.outcomes()[name] for name, count in after.items()}
    return Day(plan, ended - started, outcomes, sum(message.feed is Feed.CORRECTIONS for message in messages))


@asynccontextmanager
async def _watching(settings: Settings, endpoints: Endpoints) -> AsyncIterator[StatusReader]:
    async with open_status(endpoints, settings.database, settings.kafka.topic_prefix) as reader:
        yield reader


class _Progress:
    """Follows a day through the pipeline and shows every moment of it."""

    def __init__(self, workers: Workers, show: Show, before: StreamStatus) -> None:
        self._workers = workers
        self._show = show
        self._last = before
        self._produced = 0
        self._commit = (0.0, 0.0)

    def sent(self, acknowledged: int) -> None:
        self._produced = acknowledged

    async def follow(self, reader: StatusReader, consumed: int, sending: "asyncio.Task[Produced]") -> float:
        """Until so many records are committed and every update is published; the moment when they were.

        Raises what `sending` raised, and Stalled when nothing moves.
        """
        moved_at = shown_at = time.monotonic()
        last = 0
        while True:
            if sending.done():
                sending.result()  # raises what went wrong with it: waiting longer would hide that
            committed = await reader.committed()
            now = time.monotonic()
            if committed.consumed >= consumed and not committed.unpublished:
                return now
            if committed.consumed != last:
                last, moved_at = committed.consumed, now
            if now - moved_at > _PATIENCE_SECONDS:
                raise Stalled(f"nothing was committed for {_PATIENCE_SECONDS:.0f} s, after {last:,} records")
            if now - shown_at > _SHOW_SECONDS:
                shown_at = now
                await self.look(reader)
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self, reader: StatusReader) -> None:
        """Show the moment, with its lag."""
        await self._tell(await reader.read())

    async def _tell(self, status: StreamStatus) -> None:
        seconds, count = await self._workers.commit_seconds()
        since = (seconds - self._commit[0], count - self._commit[1])
        rate = (status.consumed - self._last.consumed) / max(status.at - self._last.at, 1e-6)
        self._show(Moment(self._produced, status, rate, since[0] / since[1] if since[1] else None))
        self._last, self._commit = status, (seconds, count)


async def prove(settings: Settings, endpoints: Endpoints) -> Report:
    """What `folio verify` finds."""
    return await reconcile(
        endpoints.database_url,
        endpoints.kafka_bootstrap,
        topic_prefix=settings.kafka.topic_prefix,
        retention_months=settings.batch.retention_months,
    )


async def go_on(
    settings: Settings, endpoints: Endpoints, plan: Plan, workers: Workers, show: Show, stop: asyncio.Event
) -> None:
    """A live trickle of what happens now, until told to stop."""
    topics = topics_of(settings.kafka.topic_prefix)
    trickling = asyncio.create_task(
        trickle(endpoints.kafka_bootstrap, plan, rate=_TRICKLE_PER_SECOND, stop=stop, topics=topics)
    )
    async with _watching(settings, endpoints) as reader:
        progress = _Progress(workers, show, await reader.read())
        while not trickling.done():
            await progress.look(reader)
            await asyncio.sleep(_SHOW_SECONDS)
    await trickling

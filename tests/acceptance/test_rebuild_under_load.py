"""folio rebuild while producers hold a rate, killed at a random point and run again: it ends equal, versions only rise.

docs/rebuild.md has the command for 2,000 a second. FOLIO_TEST_REBUILD_SEED kills elsewhere.
"""

import asyncio
import os
import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import asyncpg
import pytest
from confluent_kafka import Producer

from pipeline.oracle.movements import DayKey
from pipeline.oracle.topics import REALTIME_UPDATES, connected
from pipeline.oracle.updates import Update, parse_update
from tests.conftest import MakeStream
from tests.rebuild.damages import DAMAGES
from tests.support.events import NOON, correction, encoded, event
from tests.support.stream import Stream, WorkerProcess

RATE: Final = float(os.environ.get("FOLIO_TEST_REBUILD_RATE", "300"))
SECONDS: Final = float(os.environ.get("FOLIO_TEST_REBUILD_SECONDS", "6"))
SEED: Final = int(os.environ.get("FOLIO_TEST_REBUILD_SEED", "1"))
# Transactions that are there when somebody hurts the books.
BEFORE: Final = int(os.environ.get("FOLIO_TEST_REBUILD_BEFORE", RATE * 20))
ORGS: Final = max(40, BEFORE // 100) | 1  # odd, so that no rule about numbers of transactions hits the same ones always
PARTS: Final = ("snapshots", "transactions", "balances", "users", "reports")
# Every fourth organisation loses everything that can be rebuilt, of two something is wrong, and one is whole.
EMPTIED, HURT, ROBBED = range(3)
STEPS: Final = max(2, BEFORE // 8_000)  # that the rebuild makes at least, of a thousand rows each
DAMAGE: Final = (
    *(
        f"DELETE FROM {table} WHERE org_id % 4 = {EMPTIED}"
        for table in (
            "event_store.snapshots",
            "finance.revenues_partitioned",
            "finance.expenses_partitioned",
            "finance.daily_cash_balances_partitioned",
            "read_models.users",
        )
    ),
    *(f"{DAMAGES[what]} AND org_id % 4 = {HURT}" for what in ("a day's movements", "an opening")),
    *(f"{DAMAGES[what]} AND org_id % 4 = {ROBBED}" for what in ("rows that are gone", "a row's text")),
)


def transaction(number: int, version: int) -> dict[str, Any]:
    """A version of a transaction, over all organisations, and of each some properties, days and users."""
    place = number // ORGS
    body = event(
        number,
        version,
        org=number % ORGS + 1,
        property_=place % 3 + 1,
        kind=("revenue", "expense")[place // 3 % 2],
        amount=number % 700 + version,
        at=NOON - timedelta(days=place % 5),
    )
    users = 8 if number < BEFORE else 4  # of some nothing is heard any more
    return body | {"recorded_by": {"user_id": place % users + 1, "name": f"User {number % 7}"}}


def traffic(chance: random.Random) -> Iterator[dict[str, Any]]:
    """For ever: new transactions, edits, counted days.

    No edit of what the damage has taken the snapshot of: the worker would judge it by what is not there, and what it
    says of it stays in the store.
    """
    versions: dict[int, int] = {}
    for number in range(BEFORE, 1 << 40):
        versions[number] = 1
        yield transaction(number, 1)
        if chance.random() < 0.4:
            edited = chance.randrange(number + 1)
            if edited >= BEFORE or (edited % ORGS + 1) % 4 != EMPTIED:
                versions[edited] = versions.get(edited, 1) + 1
                yield transaction(edited, versions[edited])
        if chance.random() < 0.005:
            yield correction(org=chance.randint(1, ORGS), day=NOON.date(), declared=chance.randint(0, 10_000))


@dataclass
class Load:
    """Producing at a set rate, in a thread of its own, until it is told to stop."""

    stream: Stream
    sent: int = 0
    seconds: float = 0.0
    _enough: threading.Event = field(default_factory=threading.Event)

    def book(self) -> None:
        """What is there before: as quickly as it goes."""
        producer = self._producer()
        for number in range(BEFORE):
            self._send(producer, transaction(number, 1))
        assert producer.flush(60) == 0

    def hold(self) -> None:
        """Hold the rate."""
        producer, bodies = self._producer(), traffic(random.Random(SEED))
        started, sent = time.monotonic(), 0
        while not self._enough.is_set():
            while sent < (time.monotonic() - started) * RATE:
                self._send(producer, next(bodies))
                sent += 1
            producer.poll(0.005)
        self.seconds = time.monotonic() - started
        assert producer.flush(30) == 0
        assert sent / self.seconds > 0.9 * RATE, "the rate was not held"

    def stop(self) -> None:
        self._enough.set()

    def _producer(self) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self.stream.endpoints.kafka_bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "linger.ms": 5,
            }
        )

    def _send(self, producer: Producer, body: dict[str, Any]) -> None:
        topic = self.stream.topic if "event_id" in body else f"{self.stream.prefix}balance-corrections"
        while True:
            try:
                producer.produce(topic, encoded(body), str(body["org_id"]))
            except BufferError:
                producer.poll(0.1)
            else:
                self.sent += 1
                return


@asynccontextmanager
async def holding(load: Load) -> AsyncIterator[None]:
    """The rate is held meanwhile, and for as long as was asked for."""
    held_from = time.monotonic()
    holding = asyncio.create_task(asyncio.to_thread(load.hold))
    try:
        yield
        await asyncio.sleep(max(0.0, SECONDS - (time.monotonic() - held_from)))
    finally:
        load.stop()
        await holding


async def rebuilt(stream: Stream, **overrides: str) -> tuple[int, str]:
    """Run the command to its end; returns its exit code and what it said."""
    log = stream.folder / f"rebuild-{time.monotonic_ns()}.log"
    with WorkerProcess(stream.start, ["rebuild", *PARTS], stream.environment(**overrides), log) as process:
        return await process.wait(seconds=600), process.log


async def versions(connection: asyncpg.Connection) -> dict[DayKey, int]:
    rows = await connection.fetch(
        "SELECT org_id, property_id, balance_date, version FROM finance.daily_cash_balances_partitioned"
    )
    return {(row[0], row[1], row[2]): row[3] for row in rows}


async def told(stream: Stream) -> dict[DayKey, list[Update]]:
    """What subscribers have heard of each day, in order."""
    heard: dict[DayKey, list[Update]] = defaultdict(list)
    async with connected(stream.endpoints.kafka_bootstrap, stream.prefix) as log:
        async for records in log.read(REALTIME_UPDATES, await log.extent(REALTIME_UPDATES)):
            for update in (parse_update(record.value, record.appended_at) for record in records):
                heard[update.key].append(update)
    return heard


@pytest.mark.timeout(1_200)
async def test_a_rebuild_under_load_ends_equal(make_stream: MakeStream) -> None:
    stream, chance = await make_stream(lanes=4), random.Random(f"rebuild {SEED}")
    load = Load(stream)
    killed_at = (
        f"{chance.choice(('rebuild_locked', 'rebuild_written', 'rebuild_committed'))}:{chance.randint(1, STEPS)}"
    )
    with stream.worker() as one, stream.worker() as two:
        await asyncio.to_thread(load.book)
        await stream.wait_until_consumed(load.sent, seconds=300)
        async with stream.database() as connection:
            before = await versions(connection)
            for statement in DAMAGE:
                assert await connection.execute(statement) not in {"UPDATE 0", "DELETE 0"}, statement
            async with holding(load):
                await asyncio.sleep(1)  # so that what was lost is made anew by batches first
                code, log = await rebuilt(stream, WORKER_CRASH_AT=killed_at)
                assert code == -signal.SIGKILL, log
                started = time.monotonic()
                code, log = await rebuilt(stream)
                assert code == 0, log
                assert "going on with job" in log
                seconds = time.monotonic() - started
            behind = load.sent - sum((await stream.outcomes()).values())
            await stream.wait_until_consumed(load.sent, seconds=120)
            after = await versions(connection)
        # Nothing was left for a second run, though writers came and went between its looks and its locks.
        again = stream.folio("rebuild", *(part for part in PARTS if part != "reports"), "--dry-run")
        assert again.returncode == 0, again.stdout
        assert (await one.stop(), await two.stop()) == (0, 0)
    report = await stream.prove()
    assert report.exit_code == 0, report.differences[:5]
    only_risen(before, after, await told(stream))
    print(
        f"\n{load.sent - BEFORE:,} records in {load.seconds:.1f} s ({(load.sent - BEFORE) / load.seconds:,.0f}/s), "
        f"{behind:,} of them not yet booked when the last was sent; killed at {killed_at}; run again, done in "
        f"{seconds:.1f} s:\n{log}{report.events:,} events, {len(after):,} balances, 0 differences"
    )


def only_risen(before: dict[DayKey, int], after: dict[DayKey, int], heard: dict[DayKey, list[Update]]) -> None:
    """Who keeps the highest version that he has heard ends with what is in the books, whatever was lost meanwhile."""
    assert before.keys() <= after.keys()
    for key, version in after.items():
        assert version >= before.get(key, 0) + (key[0] % 4 in {EMPTIED, HURT} and key in before), key
        assert max(update.version for update in heard[key]) == version, key
        in_order = [update.version for update in heard[key]]
        if key[0] % 4 != EMPTIED:
            assert in_order == sorted(set(in_order)), key
        else:  # a lost row counts from 1 again, until the rebuild raises it above all
            last = max(place for place, update in enumerate(heard[key]) if update.rebuilt)
            assert in_order[last] > max(in_order[:last], default=0), key
            assert in_order[last:] == list(range(in_order[last], version + 1)), key

"""Tiers over real books and a real Valkey: what is committed is what is read, also while the cache is killed."""

import subprocess
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from batchers.invalidator import Floors, floors_by_epoch
from batchers.outbox import OutboxRow
from pipeline.cache.client import new_redis
from pipeline.errors import CacheUnavailable
from pipeline.settings import RedisSettings
from pipeline.stack import probes
from pipeline.stack.packages import valkey_program
from pipeline.stack.ports import HOST, free_neighbours
from pipeline.stack.probes import NotReady
from pipeline.storage.balances import Balances
from pipeline.storage.intent import Read
from pipeline.storage.primary import PrimaryBalances
from pipeline.storage.readers import DirectReaders
from pipeline.storage.reading import Reads
from tests.cache.house import House
from tests.support.databases import EMPTY_THE_BOOKS
from tests.support.events import TODAY
from tests.support.ledger import Ledger
from tests.support.waiting import until


@pytest_asyncio.fixture
async def ledger(database: str) -> AsyncIterator[Ledger]:
    admin = await asyncpg.connect(database, server_settings={"timezone": "UTC"})
    await admin.execute(EMPTY_THE_BOOKS)
    await admin.execute("SELECT ops.ensure_month('event_store.events', 'recorded_at', '2026-03-01')")
    made = Ledger(database, admin)
    try:
        yield await made.claim()
    finally:
        made.books.discard()
        await admin.close()


@pytest_asyncio.fixture
async def reads(database: str) -> AsyncIterator[Reads]:
    async with asyncpg.create_pool(database, min_size=1, max_size=4, server_settings={"timezone": "UTC"}) as pool:
        yield Reads(DirectReaders(pool))


class Valkey:
    """A server of this test's own, that may be killed."""

    def __init__(self, folder: Path) -> None:
        self._port = free_neighbours(1)
        self._command = [
            valkey_program(),
            "--port",
            str(self._port),
            "--bind",
            HOST,
            "--save",
            "",
            "--dir",
            str(folder),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://{HOST}:{self._port}/0"

    async def start(self) -> None:
        self._begin()

        async def ready() -> bool:
            try:
                return bool(probes.valkey(self.url))
            except NotReady:
                return False

        await until(ready)

    def _begin(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest_asyncio.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[Valkey]:
    server = Valkey(tmp_path)
    try:
        await server.start()
        yield server
    finally:
        server.kill()


def hear(house: House, rows: Sequence[OutboxRow]) -> None:
    for row in rows:
        for update, _line in row.updates:
            house.tiers.noted(update)


async def cash(house: House, day_offset: int = 0, org_id: int = 1) -> tuple[int, int] | None:
    """Version and cash received of a day."""
    read = await house.tiers.of_day(org_id, 1, TODAY + timedelta(days=day_offset))
    return None if read is None else (read.version, read.cash_received_cents)


async def test_what_batches_commit_is_what_tiers_answer(ledger: Ledger, reads: Reads, redis: Redis) -> None:
    async with House(redis, PrimaryBalances(reads)).opened() as house:
        assert await cash(house) is None
        for number in range(1, 6):
            committed = await ledger.commit(ledger.event(number, amount=100))
            hear(house, committed.outbox)
            for floors in floors_by_epoch(committed.outbox).items():
                await house.cache.raise_floors(*floors)
            assert [await cash(house) for _ in range(2)] == [(number, 100 * number)] * 2
        stored = await Balances(reads).of_day(1, 1, TODAY, intent=Read())
        assert await house.tiers.of_day(1, 1, TODAY) == stored, "every figure came through"
        assert await cash(house, org_id=2) is None
        assert house.counted("bypasses", reason="epoch_unknown") == 1, "it is the epoch of the updates"
        for wanted in ({"l1": 0, "redis": 0, "database": 2}, {"l1": 0, "redis": 1, "database": 1}):
            async with House(redis, PrimaryBalances(reads)).opened() as neighbour:
                assert await neighbour.tiers.of_day(1, 1, TODAY) == stored
                assert neighbour.answers() == wanted, "the first one fills, for the next one"
        await redis.flushdb()


@pytest.mark.parametrize("hears", [True, False])
async def test_redis_killed_and_back_makes_no_answer_wrong(
    ledger: Ledger, reads: Reads, valkey: Valkey, hears: bool
) -> None:
    """One process hears the updates; the other has Redis alone, whose floors the invalidator raises when it can."""
    client = new_redis(valkey.url, RedisSettings(timeout_seconds=0.5))
    to_do: list[tuple[str, Floors]] = []

    async def invalidate(house: House, rows: Sequence[OutboxRow]) -> bool:
        to_do.extend(floors_by_epoch(rows).items())
        try:
            while to_do:
                await house.cache.raise_floors(*to_do[0])
                del to_do[0]
        except CacheUnavailable:
            return False
        return True

    house = House(client, PrimaryBalances(reads))
    try:
        async with house.opened():
            if not hears:
                house.tiers.feed_lost()
            for number in range(1, 13):
                if number == 4:
                    valkey.kill()
                if number == 8:
                    await valkey.start()
                committed = await ledger.commit(ledger.event(number, amount=100))
                away = 4 <= number < 8
                assert await invalidate(house, committed.outbox) != away
                if hears:
                    hear(house, committed.outbox)
                assert [await cash(house) for _ in range(3)] == [(number, 100 * number)] * 3
            # Who hears the updates has them in the process by then.
            assert house.counted("bypasses", reason="redis_away") == (0 if hears else 12)
            assert house.answers()["redis"] == (0 if hears else 16)
    finally:
        await client.aclose()

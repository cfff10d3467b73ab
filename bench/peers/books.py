"""What a peer writes to: its tables, when they hold everything, and how far they are from what they must be."""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import msgspec
from confluent_kafka import Consumer, TopicPartition

from bench.draining import StandstillError
from bench.peers.catalogue import HERE, Peer
from bench.peers.environments import MissingPeerError

SCHEMA: Final = "peer"
_ROLE: Final = "folio_bench_peer"
_LOOK_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 90.0  # without a new row; a killed peer's group is taken over within 10 s
_SETTLED_SECONDS: Final = 3.0
_SETTLE_SECONDS_MAX: Final = 60.0
_BROKER_SECONDS: Final = 30.0
_HAS_LAST: Final = """
    SELECT count(*) FROM transactions WHERE (org_id, id) IN (SELECT * FROM unnest($1::bigint[], $2::bigint[]))
"""
_ROWS: Final = "SELECT count(*) FROM transactions"
_CENTS: Final = """
    SELECT coalesce(sum(cash_received_cents + bank_received_cents + cash_expenses_cents + bank_expenses_cents), 0)
    FROM {schema}daily_balances
"""


@dataclass(frozen=True, slots=True)
class Whole:
    """How a topic that was drained is recognised."""

    rows: int
    cents: int  # of all figures of all days
    last: list[tuple[int, int]]  # organisation and id of the last record of each partition


@dataclass(frozen=True, slots=True)
class Differences:
    """How many rows and days are not what they must be; days are None where a peer keeps none."""

    rows: int
    days: int | None

    @property
    def none(self) -> bool:
        return not self.rows and not self.days

    def __str__(self) -> str:
        if self.none:
            return "right"
        return f"{self.rows:,} rows" + (f" and {self.days:,} days" if self.days is not None else "") + " differ"


@dataclass(slots=True)
class Books:
    """The tables of one peer, seen from outside."""

    connection: asyncpg.Connection
    peer: Peer
    whole: Whole

    async def rows(self) -> int:
        """How many transactions there are."""
        return int(await self.connection.fetchval(_ROWS))

    async def until_rows(self, rows: int, require_alive: Callable[[], None]) -> None:
        """Until there are so many. Raises StandstillError."""
        seen, moved_at = -1, time.monotonic()
        while (now := await self.rows()) < rows:
            moved_at, seen = self._patience(seen, now, moved_at), now
            require_alive()
            await asyncio.sleep(_LOOK_SECONDS)

    async def until_whole(self, require_alive: Callable[[], None]) -> float:
        """The time of the wall clock at which every row was seen, and every cent. Raises StandstillError.

        Looks for the last record of each partition, which costs the server next to nothing, and counts only then.
        """
        seen, moved_at = -1, time.monotonic()
        organisations, ids = zip(*self.whole.last, strict=True)
        while True:
            now = time.time()
            found = await self.connection.fetchval(_HAS_LAST, organisations, ids)
            if found == len(ids) and await self._is_whole():
                return now
            if time.monotonic() - moved_at > _PATIENCE_SECONDS / 2:  # counting is for when patience ends
                rows = await self.rows()
                moved_at, seen = self._patience(seen, rows, moved_at), rows
            require_alive()
            await asyncio.sleep(_LOOK_SECONDS)

    async def until_settled(self) -> None:
        """Until nothing is written any more: what is replayed after a kill may come after the last row."""
        deadline = time.monotonic() + _SETTLE_SECONDS_MAX
        before = None
        while time.monotonic() < deadline:
            now = await self.connection.fetchval("SELECT pg_current_wal_insert_lsn()")
            if now == before:
                return
            before = now
            await asyncio.sleep(_SETTLED_SECONDS)

    async def differences(self) -> Differences:
        """Held against what the oracle says."""
        rows = await self.connection.fetchval((HERE / "sql" / "differing_rows.sql").read_text())
        days = (
            await self.connection.fetchval((HERE / "sql" / "differing_days.sql").read_text())
            if self.peer.balances
            else None
        )
        return Differences(rows, days)

    async def _is_whole(self) -> bool:
        if await self.rows() < self.whole.rows:
            return False
        return not self.peer.balances or await self.connection.fetchval(_CENTS.format(schema="")) >= self.whole.cents

    def _patience(self, seen: int, now: int, moved_at: float) -> float:
        if now != seen:
            return time.monotonic()
        if time.monotonic() - moved_at > _PATIENCE_SECONDS:
            raise StandstillError(
                f"no new row for {_PATIENCE_SECONDS:.0f} s, at {now:,} of {self.whole.rows:,}, or its days stay short"
            )
        return moved_at


async def make_tables(connection: asyncpg.Connection, peer: Peer) -> None:
    """The peer's tables in a schema of its own, which becomes the connection's search path."""
    await connection.execute(f"CREATE SCHEMA {SCHEMA}; SET search_path = {SCHEMA};" + peer.tables.read_text())


async def whole_of(connection: asyncpg.Connection, bootstrap: str, topic: str) -> Whole:
    """Asked of what the oracle has left in `expected`, and of the topic."""
    rows = await connection.fetchval("SELECT count(*) FROM expected.transactions")
    cents = await connection.fetchval(_CENTS.format(schema="expected."))
    return Whole(int(rows), int(cents), await asyncio.to_thread(_last_records, bootstrap, topic))


async def reachable_url(connection: asyncpg.Connection, database_url: str, peer: Peer, *, local: bool) -> str:
    """The database's address for a peer. One that knows no sockets gets a login of its own on a local stack's loopback.

    Raises MissingPeerError for such a peer where the database is another's.
    """
    parts = urlsplit(database_url)
    options = {name: values[0] for name, values in parse_qs(parts.query).items()}
    if not peer.over_tcp or not options.get("host", "").startswith("/"):
        return database_url
    if not local:
        raise MissingPeerError("its driver knows no Unix sockets; give FOLIO_DATABASE_URL with a host and a port")
    password = secrets.token_urlsafe(24)
    await connection.execute(f"DO $$ BEGIN CREATE ROLE {_ROLE}; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    await connection.execute(f"ALTER ROLE {_ROLE} LOGIN PASSWORD '{password}'")
    await connection.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {_ROLE}")
    await connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA {SCHEMA} TO {_ROLE}")
    return f"postgresql://{_ROLE}:{quote(password)}@127.0.0.1:{options.get('port', 5432)}{parts.path}"


class _Identity(msgspec.Struct):
    org_id: int
    aggregate_id: int


def _last_records(bootstrap: str, topic: str) -> list[tuple[int, int]]:
    """Of each partition that has one."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "folio-bench-last"})
    try:
        last = []
        for partition in consumer.list_topics(topic, _BROKER_SECONDS).topics[topic].partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), _BROKER_SECONDS)
            if high > low:
                last.append(TopicPartition(topic, partition, high - 1))
        consumer.assign(last)
        records: list[Any] = [consumer.poll(_BROKER_SECONDS) for _ in last]
    finally:
        consumer.close()
    found = [msgspec.json.decode(record.value(), type=_Identity) for record in records]
    return [(each.org_id, each.aggregate_id) for each in found]

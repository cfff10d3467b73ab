"""The database in memory against PostgreSQL: the same calls give the same answers, and leave the same tables.

`Books` and the claims are the worker's own; what differs is what they are connected to. Each test runs on both, and
histories of batches go into both at once and are compared answer by answer and table by table.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from random import Random
from typing import Any, Final

import asyncpg
import pytest
import pytest_asyncio

import sql
from batchers.books import Committed
from batchers.decide import Outcome, Stored
from batchers.outbox import OutboxRow, read_outbox
from batchers.writing import EventRows
from consumers.claiming import tell_stopped
from pipeline.errors import DatabaseUnavailable, FenceLost
from pipeline.settings import DatabaseSettings
from pipeline.stack import Endpoints
from schemas.instants import instant_of
from schemas.lanes import Batch
from schemas.records import Accepted, Judged
from schemas.topics import Feed
from tests.simulation.connection import SimulatedConnection, connect
from tests.simulation.database import Bounds, Database
from tests.simulation.plan import Plan, plan_of
from tests.simulation.process import Process, Weather
from tests.simulation.statements import HANDLERS
from tests.support.databases import EMPTY_THE_BOOKS, a_database
from tests.support.events import NOON, Offsets
from tests.support.ledger import Ledger

HISTORIES: Final = 40
# What `folio verify` asks: between them, these read every column that is ours.
# When a migration was applied, and which primary it is, is told by the real one alone.
ORACLE: Final = sorted(
    text
    for text, handler in HANDLERS.items()
    if handler.name.startswith("oracle") and handler.name not in {"oracle users_kept_since", "oracle epoch"}
)
LOCK_SECONDS: Final = 1.0
# In memory, in PostgreSQL, and the columns that are the key in memory.
_AGGREGATE: Final = ("org_id", "aggregate_type", "aggregate_id")
_DAY: Final = ("org_id", "property_id", "balance_date")
TABLES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "lanes": ("ops.lanes", ("lane",)),
    "outbox": ("ops.outbox", ("lane", "seq")),
    "dead_letters": ("ops.dead_letters", ("topic", "lane", "record_offset")),
    "properties": ("finance.properties", ("org_id", "property_id")),
    "users": ("read_models.users", ("org_id", "user_id")),
    "events": ("event_store.events", ("recorded_at", "lane", "record_offset")),
    "snapshots": ("event_store.snapshots", _AGGREGATE),
    "revenues": ("finance.revenues_partitioned", ("org_id", "id", "occurred_at")),
    "expenses": ("finance.expenses_partitioned", ("org_id", "id", "occurred_at")),
    "balances": ("finance.daily_cash_balances_partitioned", _DAY),
    "corrections": ("ops.balance_corrections", ("org_id", "correction_id")),
    "adjustments": ("ops.balance_adjustments", ("org_id", "correction_id")),
}


class MemoryLedger(Ledger):
    """A worker's books in memory."""

    def __init__(self, memory: Database, **options: Any) -> None:
        self.memory = memory
        nothing: Any = None
        super().__init__("in memory", nothing, **options)

    async def connect(self) -> Any:
        return await self._connection(writer=True)

    async def connect_to_look(self) -> Any:
        return await self._connection(writer=False)

    async def _connection(self, *, writer: bool) -> SimulatedConnection:
        process = Process("test", Weather(Random(0)), _silent)
        return await connect(self.memory, process, Bounds(LOCK_SECONDS, 10, 30), writer=writer)


@pytest_asyncio.fixture(scope="session")
async def shared_database(stack: Endpoints, template: str) -> AsyncIterator[str]:
    async with a_database(stack.database_url, template) as url:
        yield url


@pytest_asyncio.fixture
async def admin(shared_database: str) -> AsyncIterator[asyncpg.Connection]:
    """Sees everything of the real database, which it has emptied."""
    connection = await asyncpg.connect(shared_database, server_settings={"timezone": "UTC"})
    await connection.execute(EMPTY_THE_BOOKS)
    yield connection
    await connection.close()


async def in_memory(admin: asyncpg.Connection) -> Database:
    """An empty database that takes itself for the real one."""
    system_identifier, _ = (await admin.fetchval(sql.query("cluster_epoch"))).split("-")
    return Database(asyncio.get_running_loop(), system_identifier)


class Workers:
    """Workers that meet on the same books, and raw connections to them; all are gone in the end."""

    def __init__(self, new_ledger: Callable[[], Ledger]) -> None:
        self._new_ledger = new_ledger
        self._ledgers: list[Ledger] = []
        self._connections: list[Any] = []

    def ledger(self) -> Ledger:
        self._ledgers.append(self._new_ledger())
        return self._ledgers[-1]

    async def connection(self) -> Any:
        """As a writer has it."""
        self._connections.append(await self.ledger().connect())
        return self._connections[-1]

    async def begun(self) -> Any:
        """The same, within a transaction."""
        connection = await self.connection()
        await connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
        return connection

    def close(self) -> None:
        for ledger in self._ledgers:
            ledger.books.discard()
        for connection in self._connections:
            connection.terminate()


@pytest_asyncio.fixture(params=["postgres", "memory"])
async def workers(
    request: pytest.FixtureRequest, shared_database: str, admin: asyncpg.Connection
) -> AsyncIterator[Workers]:
    memory = await in_memory(admin)
    settings = DatabaseSettings(lock_timeout_seconds=LOCK_SECONDS)

    def new_ledger() -> Ledger:
        if request.param == "memory":
            return MemoryLedger(memory)
        return Ledger(shared_database, admin, settings=settings)

    made = Workers(new_ledger)
    yield made
    made.close()


@pytest_asyncio.fixture
async def ledger(workers: Workers) -> Ledger:
    return await workers.ledger().claim()


# --- on both, one after the other ---


async def test_a_batch_goes_in_once_and_is_found_again(ledger: Ledger) -> None:
    batch = ledger.batch(ledger.event(1, amount=100), ledger.event(2, amount=50))
    first = await ledger.books.commit(batch)
    again = await ledger.books.commit(batch)
    assert sum(first.outcomes.values()) == 2
    assert not again.outcomes
    assert said(again.outbox) == said(first.outbox)


async def test_a_claim_shuts_the_former_owner_out(ledger: Ledger, workers: Workers) -> None:
    batch = ledger.batch(ledger.event(1))
    successor = await workers.ledger().claim(*ledger.claims)
    assert {claim.epoch for claim in successor.claims.values()} == {2}
    with pytest.raises(FenceLost, match="in epoch 2, our claim was 1"):
        await ledger.books.commit(batch)


async def test_a_batch_begins_where_the_lane_stands_or_is_refused(ledger: Ledger) -> None:
    first, second = ledger.event(1), ledger.event(2)
    await ledger.put(ledger.batch(first, second))
    ledger.positions[second.origin.lane, Feed.EVENTS] = 0
    with pytest.raises(FenceLost, match="stands at 2 of finance-events, our batch begins at 0"):
        await ledger.books.commit(ledger.batch(first, second))


async def test_a_batch_waits_for_a_lane_that_another_holds(ledger: Ledger, workers: Workers) -> None:
    holder = await workers.begun()
    await holder.fetch(sql.query("fence"), [0, 1])
    writing = asyncio.create_task(ledger.commit(ledger.event(1)))
    await asyncio.sleep(LOCK_SECONDS / 4)
    assert not writing.done()
    assert await holder.execute("COMMIT") == "COMMIT"
    assert sum((await writing).outcomes.values()) == 1


async def test_it_waits_so_long_and_no_longer(ledger: Ledger, workers: Workers) -> None:
    holder = await workers.begun()
    await holder.fetch(sql.query("fence"), [0, 1])
    with pytest.raises(DatabaseUnavailable, match="lock timeout"):
        await ledger.commit(ledger.event(1))
    holder.terminate()


async def test_what_a_connection_left_open_is_rolled_back_when_it_goes(ledger: Ledger, workers: Workers) -> None:
    gone = await workers.begun()
    await gone.execute(sql.query("stop_lane"), 0, 1, "to be rolled back")
    gone.terminate()
    assert sum((await ledger.commit(ledger.event(1))).outcomes.values()) == 1


async def test_a_transaction_that_has_failed_answers_its_commit_with_rollback(ledger: Ledger, workers: Workers) -> None:
    await ledger.commit(ledger.event(1))
    connection = await workers.begun()
    with pytest.raises(asyncpg.UniqueViolationError):
        await register(connection)
    with pytest.raises(asyncpg.InFailedSQLTransactionError):
        await connection.fetch(sql.query("fence"), [0])
    assert await connection.execute("COMMIT") == "ROLLBACK"


async def register(connection: Any) -> None:
    """A property that is there already."""
    await connection.execute(sql.query("register_properties"), [1], [1], ["INR"], "Asia/Kolkata", 0)


async def test_the_store_itself_refuses_no_version_twice(ledger: Ledger, workers: Workers) -> None:
    """Who finds a version that is there already is `decide`; an index that looked again would cost every batch."""
    record = ledger.event(1)
    await ledger.commit(record)
    connection = await workers.begun()
    await stage(connection, record)
    await connection.execute(sql.query("append_events"))
    assert len(await probed(connection, record)) == 2


@pytest.mark.parametrize("ending", ["rolled back", "committed"])
async def test_staging_is_empty_after_a_transaction_however_it_ended(
    ending: str, ledger: Ledger, workers: Workers
) -> None:
    record = ledger.event(1)
    connection = await workers.begun()
    await stage(connection, record)
    if ending == "committed":
        assert await connection.execute("COMMIT") == "COMMIT"
    else:
        connection.terminate()
        connection = await workers.connection()
    await connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
    await connection.execute(sql.query("append_events"))
    assert await probed(connection, record) == []


async def stage(connection: Any, record: Accepted) -> None:
    """The record's row in staging, as one that only the store will have."""
    stored = Stored(record, Outcome.STALE, record.event.occurred_at.date())
    rows = EventRows({}, {}, 24).build([stored], instant_of(NOON + timedelta(days=1)))
    await connection.copy_records_to_table("staging_events", records=rows)


async def probed(connection: Any, record: Accepted) -> list[Any]:
    key = [[value] for value in (*record.key, record.event.version)]
    return list(await connection.fetch(sql.query("probe_versions"), *key))


async def test_marks_move_forward_under_the_claim_and_trim_the_outbox(ledger: Ledger) -> None:
    committed = await ledger.commit(ledger.event(1))
    (row,) = committed.outbox
    look: Any = await ledger.connect_to_look()
    assert said(await read_outbox(look, row.lane, 0, 1_000_000)) == said([row])
    ledger.marks.published[row.lane] = ledger.marks.invalidated[row.lane] = row.seq
    await ledger.books.save_marks({row.lane: 1})
    assert await read_outbox(look, row.lane, 0, 1_000_000) == []
    await look.close()


async def test_a_lane_says_why_it_stopped_until_its_owner_says_that_it_goes_on(
    ledger: Ledger, workers: Workers
) -> None:
    look: Any = await ledger.connect_to_look()
    former = ledger.claims[0]
    await tell_stopped(look, former, "its topic was recreated")
    successor = (await workers.ledger().claim(0)).claims[0]
    with pytest.raises(FenceLost):
        await tell_stopped(look, former, "of no concern")
    await tell_stopped(look, successor, None)
    await look.close()
    assert successor.epoch == 2


# --- into both at once ---


@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_a_history_leaves_the_same_answers_and_the_same_tables(
    seed: int, shared_database: str, admin: asyncpg.Connection
) -> None:
    plan = plan_of(seed)
    memory = await in_memory(admin)
    real = await Ledger(shared_database, admin, lane_count=plan.lanes).claim()
    simulated = await MemoryLedger(memory, lane_count=plan.lanes).claim()
    try:
        await _compared(plan, real, simulated, memory, admin)
    finally:
        real.books.discard()
        simulated.books.discard()


async def _compared(plan: Plan, real: Ledger, simulated: Ledger, memory: Database, admin: asyncpg.Connection) -> None:
    for batch in batches(plan, real):
        assert answered(await simulated.books.commit(batch)) == answered(await real.put(batch))
    look: Any = await simulated.connect_to_look()
    for statement in ORACLE:
        name = HANDLERS[statement].name
        assert await table(look, statement) == await table(admin, statement), name
    await look.close()
    # Whole rows too: what nobody asks the oracle for, a successor may.
    writer = await real.connect()
    try:
        for name, (relation, key) in TABLES.items():
            assert in_memory_rows(memory, name, key) == await real_rows(writer, memory, name, relation, key), name
    finally:
        await writer.close()


def in_memory_rows(memory: Database, name: str, key: tuple[str, ...]) -> list[dict[str, Any]]:
    rows = [dict(zip(key, place, strict=True)) | row for place, row in memory.tables[name].items()]
    return sorted(rows, key=repr)


async def real_rows(
    writer: asyncpg.Connection, memory: Database, name: str, relation: str, key: tuple[str, ...]
) -> list[dict[str, Any]]:
    """The same columns of the real table; a writer's connection gives instants as numbers, as they are in memory."""
    rows = in_memory_rows(memory, name, key)
    columns = ", ".join(rows[0]) if rows else "1 AS nothing"
    return sorted((dict(row) for row in await writer.fetch(f"SELECT {columns} FROM {relation}")), key=repr)


def batches(plan: Plan, ledger: Ledger) -> list[Batch]:
    """The plan's records in batches of random sizes, each lane's in order."""
    chance = Random(plan.seed)
    places = {(lane, feed): Offsets(lane, feed=feed) for lane, feed in itertools.product(range(plan.lanes), Feed)}
    records = [places[each.lane, each.feed].record(each.value, each.key) for each in plan.sendings]
    found = []
    while records:
        size = chance.choice((1, 2, 5, 20))
        found.append(cut(ledger, records[:size]))
        del records[:size]
    return found


def cut(ledger: Ledger, records: list[Judged]) -> Batch:
    batch = ledger.batch(*records)
    ledger.positions.update(batch.ends)
    return batch


def answered(committed: Committed) -> tuple[Any, ...]:
    return dict(committed.outcomes), dict(committed.positions), said(committed.outbox)


def said(rows: Any) -> list[Any]:
    """Rows of the outbox, as whoever reads them takes them."""
    return [_plain(row) for row in rows]


def _plain(row: OutboxRow) -> tuple[Any, ...]:
    return row.lane, row.seq, row.batch_id, [line for _, line in row.updates], list(row.letters)


async def table(connection: Any, statement: str) -> list[tuple[Any, ...]]:
    """What a statement of the oracle reads, in an order of our own."""
    arguments: list[Any] = []
    if "topic = $1" in statement:
        arguments = ["finance-events"]
    elif "$1::bigint[]" in statement:
        arguments = [[1, 2, 3]]
    return sorted((tuple(row) for row in await connection.fetch(statement, *arguments)), key=repr)


def _silent(_what: str) -> None:
    return

"""What `folio doctor` asks a stream: its schema, its topics, its lanes, and how its producers route."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

import sql
from pipeline.cli.findings import Finding, Surroundings
from pipeline.clock import SystemClock
from pipeline.endpoints import resolve
from pipeline.errors import SchemaMismatch, SettingsRefused, TopicMismatch
from pipeline.maintenance.partitions.planning import Keeping
from pipeline.maintenance.partitions.standing import retention_problem, standings
from pipeline.maintenance.partitions.state import State, read_state
from pipeline.storage.connect import connect
from pipeline.storage.migrate import require_schema
from pipeline.storage.replicas.status import replicas_status
from pipeline.topics import check_topics, lane_count
from pipeline.translate import database_errors

T = TypeVar("T")


def check_schema(surroundings: Surroundings) -> Finding:
    """Whether the database has every migration of this version."""
    if not surroundings.address("postgres")[0]:
        return _not_asked("schema")
    try:
        _ask(surroundings, require_schema)
    except SchemaMismatch as error:
        return Finding("schema", "warn", str(error), "folio migrate")
    return Finding("schema", "ok", "the database has every migration of this version")


def check_stream_topics(surroundings: Surroundings) -> Finding:
    """Whether the topics are what the lanes need."""
    bootstrap = surroundings.address("kafka")[0]
    if not bootstrap:
        return _not_asked("topics")
    prefix = surroundings.settings.kafka.topic_prefix
    problems = asyncio.run(check_topics(bootstrap, prefix))
    if problems:
        remedy = "what a line names, else folio topics create"
        return Finding("topics", "warn", "; ".join(problems), remedy)
    return Finding("topics", "ok", "as the lanes need them")


def check_lanes(surroundings: Surroundings) -> Finding:
    """Lanes that wait for an operator, and producers whose partitioner is not the Java client's."""
    if not surroundings.address("postgres")[0]:
        return _not_asked("lanes")
    try:
        rows = _ask(surroundings, lambda connection: connection.fetch(sql.query("lane_status")))
    except SchemaMismatch:
        return Finding("lanes", "warn", "there are none before the schema is", "folio migrate")
    stopped = [f"lane {row['lane']}: {row['stopped_reason']}" for row in rows if row["stopped_reason"]]
    if stopped:
        return Finding("lanes", "fail", "; ".join(stopped), "do what the reason says, then start the workers again")
    partitions = _feed_partitions(surroundings)
    if rows and partitions is not None and partitions != len(rows):
        detail = f"the database knows {len(rows)} lanes, the topics have {partitions} partitions: no worker starts"
        return Finding("lanes", "fail", detail, _how_to_agree(len(rows), partitions))
    misrouted = sum(row["misrouted"] for row in rows)
    if misrouted:
        detail = f"{misrouted:,} records came by another partition than their key's home: correct, only slower"
        return Finding("lanes", "warn", detail, "let the producers use the murmur2 partitioner")
    return Finding("lanes", "ok", f"{len(rows)} known, none stopped, every record by its home partition")


def check_months(surroundings: Surroundings) -> Finding:
    """Whether months are made ahead, and leave when they should."""
    if not surroundings.address("postgres")[0]:
        return _not_asked("months")
    settings = surroundings.settings
    keeping = Keeping(settings.batch.retention_months, settings.partitions.months_ahead)
    try:
        state = _ask(surroundings, _state_of_months)
    except SchemaMismatch as error:
        return Finding("months", "warn", str(error), "folio migrate, or a login with folio_operator")
    found, retention = standings(state, SystemClock().now(), keeping), retention_problem(state, keeping)
    if retention is not None:
        return Finding("months", "warn", retention, "one number of months for workers and commands")
    problems = [problem for standing in found for problem in standing.problems]
    if problems:
        return Finding("months", "warn", "; ".join(problems), "folio partitions plan, then apply")
    days = min(standing.runway_days for standing in found)
    return Finding("months", "ok", f"made for {days:.0f} days, none of the past is left over")


async def _state_of_months(connection: asyncpg.Connection) -> State:
    await require_schema(connection)
    return await read_state(connection)


def check_replicas(surroundings: Surroundings) -> Finding:
    """Whether reads go to every replica that there is."""
    try:
        addresses = resolve(surroundings.settings)
    except SettingsRefused:  # the checks of the servers say which one is missing
        return _not_asked("replicas")
    primary, *replicas = asyncio.run(replicas_status(surroundings.settings, addresses))
    if not replicas:
        return Finding("replicas", "ok", "none: every read goes to the primary")
    ill = [f"{each.name} is {each.health.condition.value}: {each.health.detail}" for each in replicas if not each.well]
    if ill and primary.well:
        return Finding(
            "replicas", "warn", "; ".join(ill), "mend them; until then others answer (folio replicas status)"
        )
    return Finding("replicas", "ok", f"{len(replicas) - len(ill)} of {len(replicas)} answer reads")


def _how_to_agree(lanes: int, partitions: int) -> str:
    if partitions < lanes:
        return f"finish the growth: folio topics repartition --lanes {lanes} --execute"
    return f"create the topics anew with {lanes} partitions: what was added by hand cannot be taken back"


def _feed_partitions(surroundings: Surroundings) -> int | None:
    """How many partitions each feed has; None where no broker is named, or the feeds are not alike."""
    bootstrap = surroundings.address("kafka")[0]
    if not bootstrap:
        return None
    prefix = surroundings.settings.kafka.topic_prefix
    try:
        return asyncio.run(lane_count(bootstrap, prefix))
    except TopicMismatch:  # `check_stream_topics` says what is wrong with them
        return None


def _ask(surroundings: Surroundings, question: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    async def ask() -> T:
        with database_errors("asking the database"):
            connection = await connect(
                surroundings.address("postgres")[0], surroundings.settings.database, "folio doctor"
            )
            try:
                return await question(connection)
            finally:
                await connection.close()

    return asyncio.run(ask())


def _not_asked(name: str) -> Finding:
    return Finding(
        name, "warn", "not asked: no server is named, and no stack runs", "folio stack up, or name one in the settings"
    )

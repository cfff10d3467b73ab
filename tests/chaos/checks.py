"""What must hold after every fault, however it struck: drained, accounted, reconciled, and nobody left over."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import Feed
from tests.chaos.arena import Arena
from tests.chaos.looking import position, value
from tests.chaos.promises import PromiseBroken

DRAINED_SECONDS_MAX: Final = 60.0
# A look at pauses is a connection of a moment, every two seconds; whatever stays longer belongs to somebody.
SETTLED_SECONDS_MAX: Final = 20.0
# Of one worker: a writer, and a brief one now and then; its three clients of the broker hold four, and one more while
# they look for the group's coordinator; one of the cache's, which is asked for one thing at a time.
CONNECTIONS_MAX: Final = {"database": 2, "broker": 6, "cache": 2}
TASKS_MAX: Final = 32  # of one worker; 25 to 27 are at work, half of them the broker's clients'
_LOOK_SECONDS: Final = 0.1
_OUTCOMES: Final = "applied + duplicate + stale + conflict + quarantined"


@dataclass(frozen=True, slots=True)
class Proof:
    """What `folio verify` said."""

    events: int
    corrections: int
    outcomes: dict[str, int]


async def drained(arena: Arena, healed_at: float) -> float:
    """Wait until every record is in the books and told of; returns the seconds since the healing.

    Raises PromiseBroken when that takes too long.
    """
    sent = await in_the_topics(arena)
    while state := await _standing(arena, sent):
        if time.monotonic() - healed_at > DRAINED_SECONDS_MAX:
            raise PromiseBroken(f"not drained within {DRAINED_SECONDS_MAX:g} s of the healing: {state}")
        await asyncio.sleep(_LOOK_SECONDS)
    if (seconds := time.monotonic() - healed_at) > DRAINED_SECONDS_MAX:
        raise PromiseBroken(f"drained {seconds:.0f} s after the healing, not within {DRAINED_SECONDS_MAX:g} s")
    return seconds


async def accounted(arena: Arena) -> None:
    """Every record that was acknowledged is in the topics, and has one outcome."""
    held, consumed = await in_the_topics(arena), await position(arena)
    outcomes = int(await value(arena, f"SELECT coalesce(sum({_OUTCOMES}), 0) FROM ops.lanes"))
    if arena.load.sent > held:
        raise PromiseBroken(f"the broker acknowledged {arena.load.sent} records and holds {held}")
    if not held == consumed == outcomes:
        raise PromiseBroken(f"{held} records in the topics, {consumed} consumed, {outcomes} outcomes")


async def reconciled(arena: Arena) -> Proof:
    """`folio verify`, in a process of its own, past the links: 0 differences, versions told without gaps."""
    endpoints = arena.stream.endpoints
    done = await asyncio.to_thread(
        arena.stream.folio,
        "verify",
        "--output",
        "json",
        DATABASE_URL=endpoints.database_url,
        KAFKA_BOOTSTRAP=endpoints.kafka_bootstrap,
        REDIS_URL=endpoints.redis_url,
    )
    if done.returncode != 0:
        raise PromiseBroken(f"folio verify ended with {done.returncode}:\n{done.stdout[:4_000]}{done.stderr[-2_000:]}")
    report = json.loads(done.stdout)
    outcomes = {name: report["outcomes"][name] for name in _OUTCOMES.split(" + ")}
    proof = Proof(report["events"], report["corrections"], outcomes)
    held = await in_the_topics(arena)
    if proof.events + proof.corrections != held or sum(outcomes.values()) != held:
        raise PromiseBroken(f"{held} records in the topics, and the proof is about {proof}")
    if report["taken_on_trust"] or report["balances_not_compared"]:
        raise PromiseBroken(f"something sound was set aside, or was not compared: {report}")
    return proof


async def settled(arena: Arena) -> None:
    """Everyone is at work, and nobody else: no process, no connection and no transaction is left over."""
    await arena.crew.all_claimed()
    arena.crew.check()
    await _soon(lambda: _left_over(arena))


async def in_the_topics(arena: Arena) -> int:
    """Records of both feeds that the broker holds."""
    consumer = AIOKafkaConsumer(bootstrap_servers=arena.stream.endpoints.kafka_bootstrap)
    await consumer.start()
    try:
        lanes = range(arena.stream.lanes)
        partitions = [TopicPartition(arena.stream.prefix + feed, lane) for feed in Feed for lane in lanes]
        return sum((await consumer.end_offsets(partitions)).values())
    finally:
        await consumer.stop()


async def _standing(arena: Arena, sent: int) -> str:
    """What is still to be done; empty when nothing is."""
    try:
        async with arena.nodes.primary.connected(arena.database_name) as connection:
            row = await connection.fetchrow(
                f"SELECT coalesce(sum({_OUTCOMES}), 0) AS done, "
                "count(*) FILTER (WHERE outbox_seq > least(published_seq, invalidated_seq)) AS untold FROM ops.lanes"
            )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        return f"the database does not answer: {type(error).__name__}: {error}"
    assert row is not None, "sums have a row, whatever they sum"
    if row["done"] < sent or row["untold"]:
        return f"{row['done']:,} of {sent:,} records in the books, {row['untold']} lanes with updates untold"
    return ""


async def _left_over(arena: Arena) -> str:
    """Connections that stand and should not; empty when there are none."""
    for worker in arena.crew.members:
        if (tasks := (await asyncio.to_thread(worker.metrics))["folio_tasks"]) > TASKS_MAX:
            return f"{tasks:.0f} tasks in a worker"
    crew = len(arena.crew.members)
    links = {"database": arena.links.database, "broker": arena.links.broker, "cache": arena.links.cache}
    for name, link in links.items():
        if link.live > CONNECTIONS_MAX[name] * crew:
            return f"{link.live} connections to the {name} for {crew} workers"
    idle = await value(
        arena,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND state LIKE 'idle in transaction%' AND state_change < now() - interval '2 seconds'",
    )
    if idle:
        return f"{idle} transactions idle"
    backends = await value(
        arena,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'",
    )
    live = arena.links.database.live
    return f"{backends} sessions at the database, {live} connections on the link" if backends != live else ""


async def _soon(look: Callable[[], Awaitable[str]]) -> None:
    """A look may fall into the moment of a brief connection: what it finds must be gone a little later."""
    deadline = time.monotonic() + SETTLED_SECONDS_MAX
    while complaint := await look():
        if time.monotonic() > deadline:
            raise PromiseBroken(f"{complaint}, {SETTLED_SECONDS_MAX:g} s after everything was drained")
        await asyncio.sleep(0.3)

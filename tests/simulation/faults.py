"""Troubles of a plan, as they strike a world; each counts as having fired only where it struck something."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Literal

import asyncpg
from asyncpg import exceptions as pg

from tests.simulation.database import Bounds
from tests.simulation.plan import Fault, Kind
from tests.simulation.rebuilding import rebuild_a_day

if TYPE_CHECKING:
    from tests.simulation.world import World

_REBUILD_BOUNDS: Final = Bounds(lock=3, idle_in_transaction=5, transaction=10)
Server = Literal["database", "broker", "cache"]  # as a world names them
Strike = Callable[["World", Fault], Awaitable[None]]


async def strike(world: "World", fault: Fault) -> None:
    """Wait for its moment, and let it happen."""
    await asyncio.sleep(max(fault.at - world.loop.elapsed, 0))
    world.tell(f"fault: {fault}")
    await STRIKES[fault.kind](world, fault)


async def _kill(world: "World", fault: Fault) -> None:
    process = world.process_of(fault.worker)
    if process is not None:
        process.kill()
        world.fired("kill")


async def _kill_at_point(world: "World", fault: Fault) -> None:
    process = world.process_of(fault.worker)
    if process is not None:
        process.kill_at = (fault.detail, fault.count)
        process.on_reached = lambda: world.fired("kill_at_point")


async def _freeze(world: "World", fault: Fault) -> None:
    process = world.process_of(fault.worker)
    if process is not None:
        process.freeze()
        world.fired("freeze")
        await asyncio.sleep(fault.seconds)
        process.thaw()


async def _stop(world: "World", fault: Fault) -> None:
    if world.stop_worker(fault.worker):
        world.fired("stop")


async def _join(world: "World", fault: Fault) -> None:
    world.fired("join")
    await world.extra_worker(fault.seconds)


async def _clock_step(world: "World", fault: Fault) -> None:
    process = world.process_of(fault.worker)
    if process is not None:
        process.skew_seconds += float(fault.detail)
        world.fired("clock_step")


async def _database_restart(world: "World", fault: Fault) -> None:
    world.database.break_sessions()
    world.fired("database_restart")
    async with world.database.outage("down"):
        await asyncio.sleep(fault.seconds)


async def _failover(world: "World", fault: Fault) -> None:
    lost = world.database.fail_over(fault.count)
    world.tell(f"failover: {lost} commits lost")
    if lost:
        world.fired("failover")
    async with world.database.outage("down"):
        await asyncio.sleep(fault.seconds)


async def _connections_cut(world: "World", _fault: Fault) -> None:
    if world.database.sessions:
        world.database.break_sessions()
        world.fired("connections_cut")


async def _connections_refused(world: "World", fault: Fault) -> None:
    world.database.break_sessions()
    world.fired("connections_refused")
    async with world.database.outage("connections_refused"):
        await asyncio.sleep(fault.seconds)


async def _disk_full(world: "World", fault: Fault) -> None:
    refused_before = world.database.refused_writes
    async with world.database.outage("full"):
        await asyncio.sleep(fault.seconds)
    if world.database.refused_writes > refused_before:
        world.fired("disk_full")


def _stall(kind: Kind, server: Server) -> Strike:
    """Everybody waits for it."""

    async def stall(world: "World", fault: Fault) -> None:
        getattr(world, server).stalled_until = world.loop.time() + fault.seconds
        world.fired(kind)
        await asyncio.sleep(fault.seconds)

    return stall


def _down(kind: Kind, server: Server) -> Strike:
    """Nobody reaches it."""

    async def down(world: "World", fault: Fault) -> None:
        world.fired(kind)
        async with getattr(world, server).outage("down"):
            await asyncio.sleep(fault.seconds)

    return down


def _error(kind: Kind, error: type[pg.PostgresError], message: str) -> Strike:
    async def strike_once(world: "World", fault: Fault) -> None:
        planned = [error(message) for _ in range(fault.count)]
        world.database.errors.extend(planned)
        await asyncio.sleep(5.0)
        if not all(any(one is each for each in world.database.errors) for one in planned):
            world.fired(kind)

    return strike_once


def _answer_lost(kind: Kind, call: str) -> Strike:
    async def lose(world: "World", fault: Fault) -> None:
        process = world.process_of(fault.worker)
        if process is not None:
            process.lose_answers[call] = process.lose_answers.get(call, 0) + fault.count
            await asyncio.sleep(10.0)
            if process.lose_answers[call] < fault.count:
                world.fired(kind)

    return lose


async def _rebalance(world: "World", _fault: Fault) -> None:
    if world.broker.group.members:
        world.broker.group.begin_rebalance()
        world.fired("rebalance")


async def _cache_flush(world: "World", _fault: Fault) -> None:
    if world.cache.flush():
        world.fired("cache_flush")


async def _lossy_network(world: "World", fault: Fault) -> None:
    lost_before = world.weather.lost
    async with world.weather.storm():
        await asyncio.sleep(fault.seconds)
    if world.weather.lost > lost_before:
        world.fired("lossy_network")


async def _rebuild(world: "World", fault: Fault) -> None:
    """Days rise by one version, each in a step as `pipeline.rebuild.balances` makes them, and no worker is told."""
    for _ in range(fault.count):
        session = world.database.open_session(_REBUILD_BOUNDS)
        session.begin()
        try:
            told = await rebuild_a_day(session, world.plan.lanes)
            await asyncio.sleep(0.05)  # its lanes are held for as long
            if session.transaction is not None and session.commit() == "COMMIT" and told:
                world.fired("rebuild")
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:  # a trouble met it: it would be run again
            world.tell(f"rebuild ended: {error}")
        finally:
            session.end()


STRIKES: Final[dict[Kind, Strike]] = {
    "kill": _kill,
    "kill_at_point": _kill_at_point,
    "freeze": _freeze,
    "stop": _stop,
    "join": _join,
    "clock_step": _clock_step,
    "database_restart": _database_restart,
    "failover": _failover,
    "database_stall": _stall("database_stall", "database"),
    "connections_cut": _connections_cut,
    "connections_refused": _connections_refused,
    "disk_full": _disk_full,
    "deadlock": _error("deadlock", pg.DeadlockDetectedError, "deadlock detected"),
    "serialization_failure": _error("serialization_failure", pg.SerializationError, "could not serialize access"),
    "statement_cancelled": _error("statement_cancelled", pg.QueryCanceledError, "canceling statement"),
    "commit_answer_lost": _answer_lost("commit_answer_lost", "commit"),
    "broker_down": _down("broker_down", "broker"),
    "broker_stall": _stall("broker_stall", "broker"),
    "rebalance": _rebalance,
    "produce_answer_lost": _answer_lost("produce_answer_lost", "produce"),
    "cache_down": _down("cache_down", "cache"),
    "cache_stall": _stall("cache_stall", "cache"),
    "cache_flush": _cache_flush,
    "lossy_network": _lossy_network,
    "rebuild": _rebuild,
}

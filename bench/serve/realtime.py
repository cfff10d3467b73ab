"""Thousands who follow: how late they hear of it, what they hold in the end, what an idle one costs, who comes back."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import asyncpg

from bench.live.stepping import Rig, Step
from bench.serve.delivering import Delivered, delivered
from bench.serve.following import Followers, Following, Joined
from bench.serve.holding import Books, breaches, differences
from bench.serve.reading import beside
from bench.serve.server import Server
from bench.target import Ground

# All that was published has arrived by then, or never will.
_SETTLED_SECONDS_MAX: Final = 30.0
_LOOK_SECONDS: Final = 0.25
_KIB: Final = 1_024
_BOOKS: Final = """
    SELECT org_id, property_id, balance_date, version, closing_balance_cents
    FROM finance.daily_cash_balances_partitioned
    WHERE org_id = ANY ($1) AND balance_date >= $2
"""
_EVER: Final = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Agreed:
    """What everybody held in the end, against SQL. `breaches`: what the contract rules out, seen by a subscriber."""

    differences: int
    days: int
    breaches: int
    counts: Counter[str]
    settled_seconds: float  # since the last event was published


@dataclass(frozen=True, slots=True)
class Followed:
    """So many subscribers beside a live load."""

    joined: Joined
    step: Step
    delivered: Delivered
    agreed: Agreed
    deliveries: int
    conflated: int
    server_cores: float
    cpu_us: float  # of the server, for each delivery
    join_cpu_ms: float  # of the server, to open one: handshake, token, subscription and snapshot


async def nothing() -> None:
    """What is done beside subscribers, unless something else is."""


async def followed(
    rig: Rig,
    ground: Ground,
    server: Server,
    orgs: Sequence[int],
    first: date,
    rate: float,
    seconds: float,
    meanwhile: Callable[[], Awaitable[None]] = nothing,
) -> Followed:
    """One subscriber for each of `orgs`, of the days from `first` on; events at the rate for so long."""
    with Followers(server.issuer, server.port) as followers:
        cpu = server.cpu_seconds()
        joined = await followers.join(orgs, first)
        join_cpu = server.cpu_seconds() - cpu
        await rig.step(rate, 1.0)
        before, cpu = await server.realtime(), server.cpu_seconds()
        path = rig.folder / "deliveries"
        await followers.note()
        _, step, trace = await beside(rig, rate, seconds, meanwhile)
        cpu = server.cpu_seconds() - cpu
        agreed = await agree(followers, ground, orgs, first)
        after = await server.realtime()
        found = delivered(trace, await followers.noted(path), orgs, first.toordinal())
    deliveries = after["deliveries"] - before["deliveries"]
    return Followed(
        joined,
        step,
        found,
        agreed,
        deliveries,
        after["conflated"] - before["conflated"],
        cpu / seconds,
        cpu / max(deliveries, 1) * 1e6,
        join_cpu / len(orgs) * 1e3,
    )


async def agree(followers: Followers, ground: Ground, orgs: Sequence[int], first: date | None) -> Agreed:
    """Wait until everybody holds what SQL says; after a while, say how far they are from it."""
    books = await _books(ground, orgs, first or _EVER)
    began = time.monotonic()
    while True:
        following = await followers.following()
        wrong = differences(following.held, books)
        waited = time.monotonic() - began
        if (not wrong and following.complete == len(orgs)) or waited > _SETTLED_SECONDS_MAX:
            break
        await asyncio.sleep(_LOOK_SECONDS)
    days = sum(map(len, books.values()))
    return Agreed(wrong, days, breaches(following.counts), following.counts, waited)


async def _books(ground: Ground, orgs: Sequence[int], first: date) -> Books:
    """What SQL says."""
    connection = await asyncpg.connect(ground.endpoints.database_url)
    try:
        rows = await connection.fetch(_BOOKS, sorted(set(orgs)), first)
    finally:
        await connection.close()
    books: Books = {}
    for row in rows:
        books.setdefault(row["org_id"], {})[row["property_id"], row["balance_date"].toordinal()] = row[3], row[4]
    return books


@dataclass(frozen=True, slots=True)
class Idle:
    """What sockets cost that are open and hear nothing but heartbeats. Memory is the server's."""

    count: int
    joined: Joined
    rss_mib: float
    pss_mib: float
    idle_cores: float  # of the server, while nothing happens

    @property
    def kib_each(self) -> float:
        return self.rss_mib * _KIB / self.count


_FIRST_SOCKETS: Final = 100  # what the first connections bring with them is no cost of the others
_STILL_SECONDS: Final = 3.0


async def idle(server: Server, orgs: Sequence[int]) -> Idle:
    """A socket for each of `orgs`, at a server that was started for it."""
    with Followers(server.issuer, server.port) as first:
        await first.join(orgs[:_FIRST_SOCKETS], None)
    await asyncio.sleep(1)
    before = server.memory_kib()
    with Followers(server.issuer, server.port) as followers:
        joined = await followers.join(orgs, None)
        opened, quiet = server.cpu_seconds(), time.monotonic()
        await asyncio.sleep(_STILL_SECONDS)
        after, still = server.memory_kib(), server.cpu_seconds() - opened
        cores = still / (time.monotonic() - quiet)
        following: Following = await followers.following()
        assert following.complete == len(orgs), "they are there, and stay"
    return Idle(
        len(orgs),
        joined,
        (after["Rss"] - before["Rss"]) / _KIB,
        (after["Pss"] - before["Pss"]) / _KIB,
        cores,
    )


@dataclass(frozen=True, slots=True)
class Resumed:
    """What became of subscribers whose connections broke, and whose server ended twice."""

    subscribers: int
    step: Step
    agreed: Agreed
    stopped_seconds: float  # from SIGTERM to the end of the process
    back_seconds: tuple[float, float]  # from each end of the server to its next answer
    exit_code: int

    def count(self, name: str) -> int:
        """Of what happened: all whose name begins so."""
        return sum(count for what, count in self.agreed.counts.items() if what.startswith(name))


async def resumed(
    rig: Rig, ground: Ground, server: Server, orgs: Sequence[int], drops: int, rate: float, seconds: float
) -> Resumed:
    """Connections break at random while events flow; a third and two thirds through the server ends, and comes back."""
    with Followers(server.issuer, server.port) as followers:
        await followers.join(orgs, None)

        async def break_off() -> tuple[float, int, float, float]:
            await followers.drop(drops, seconds * 0.9, seed=5)
            await asyncio.sleep(seconds / 3)
            began = time.monotonic()
            code = await server.end(signal.SIGTERM)
            stopped = time.monotonic() - began
            await server.start()
            first = time.monotonic() - began
            await asyncio.sleep(max(seconds / 3 - first, 1.0))
            began = time.monotonic()
            await server.end(signal.SIGKILL)
            await server.start()
            return stopped, code, first, time.monotonic() - began

        (stopped, code, *back), step, _ = await beside(rig, rate, seconds, break_off)
        agreed = await agree(followers, ground, orgs, None)
    return Resumed(len(orgs), step, agreed, stopped, (back[0], back[1]), code)

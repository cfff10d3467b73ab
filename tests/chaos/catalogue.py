"""Every kind of fault by name: what it strikes, and how a seed draws one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from pipeline.crash import POINTS
from tests.chaos.faults import data, database, network, server, worker
from tests.chaos.faults.failover import FailedOver
from tests.chaos.faults.fault import Fault

Target = Literal["worker", "database", "broker", "cache", "data"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault. Two of different targets can strike at once."""

    name: str
    target: Target
    draw: Callable[[Random], Fault]


def _workers() -> list[Kind]:
    def at_point(point: str) -> Kind:
        return Kind(
            f"worker_killed_at_{point}", "worker", lambda chance: worker.KilledAtPoint(0, point, chance.randint(1, 3))
        )

    return [
        Kind("worker_killed", "worker", lambda chance: worker.Killed(chance.uniform(1, 4), 1)),
        Kind("every_worker_killed", "worker", lambda chance: worker.Killed(chance.uniform(0.5, 2), 2)),
        # The session ends after 6 s.
        Kind("worker_a_zombie", "worker", lambda chance: worker.Stopped(chance.uniform(8, 12), past_the_session=True)),
        Kind("worker_blocked", "worker", lambda chance: worker.Stopped(chance.uniform(2, 4), past_the_session=False)),
        Kind("worker_told_to_stop", "worker", lambda chance: worker.ToldToStop(chance.uniform(0.5, 2))),
        Kind("worker_joins_and_leaves", "worker", lambda chance: worker.Rebalanced(chance.uniform(1, 3), 1)),
        Kind("rebalance_storm", "worker", lambda chance: worker.Rebalanced(chance.uniform(0.5, 2), 4)),
        *map(at_point, POINTS),
    ]


def _database() -> list[Kind]:
    def interrupted(query: str) -> Callable[[Random], Fault]:
        return lambda chance: database.Interrupted(chance.uniform(3, 6), query, chance.uniform(0.05, 0.5))

    def at_commit(*, before: bool) -> Callable[[Random], Fault]:
        return lambda chance: network.Cut(
            0, "database", before=before, times=chance.randint(1, 4), matches=network.is_commit
        )

    kinds: Mapping[str, Callable[[Random], Fault]] = {
        "database_killed": lambda chance: database.Restarted(chance.uniform(0.5, 4), kindly=False),
        "database_restarted": lambda chance: database.Restarted(chance.uniform(0.5, 3), kindly=True),
        "database_stalled": lambda chance: database.Stalled(chance.uniform(6, 14)),
        "connections_terminated": interrupted(database.TERMINATE),
        "statements_cancelled": interrupted(database.CANCEL),
        "connections_exhausted": lambda chance: database.ConnectionsExhausted(chance.uniform(3, 8)),
        # Past the bound on waiting for a lock, which is 4 s here.
        "lanes_locked": lambda chance: database.LanesLocked(chance.uniform(5, 10)),
        "deadlocks": lambda chance: database.Deadlocked(chance.uniform(3, 8)),
        "disk_full": lambda chance: database.DiskFull(chance.uniform(3, 8), 1 << 20),
        "failover": lambda _chance: FailedOver(0, tail_seconds=0),
        "failover_lost_tail": lambda chance: FailedOver(0, tail_seconds=chance.uniform(1.5, 4)),
        "commit_answer_lost": at_commit(before=False),
        "commit_never_arrives": at_commit(before=True),
    }
    return [Kind(name, "database", draw) for name, draw in kinds.items()]


def _broker_and_cache() -> list[Kind]:
    def kinds_of(name: Literal["broker", "cache"]) -> Mapping[str, Callable[[Random], Fault]]:
        return {
            f"{name}_killed": lambda chance: server.Restarted(chance.uniform(0.5, 4), name, kindly=False),
            f"{name}_stalled": lambda chance: server.Stalled(chance.uniform(5, 12), name),
        }

    def of_the_broker(chance: Random) -> Fault:
        return server.Restarted(chance.uniform(0.5, 3), "broker", kindly=True)

    def answers_lost(chance: Random) -> Fault:
        return network.Cut(0, "broker", times=chance.randint(1, 3), matches=network.is_produce)

    return [
        *(Kind(name, "broker", draw) for name, draw in kinds_of("broker").items()),
        Kind("broker_restarted", "broker", of_the_broker),
        Kind("produce_answer_lost", "broker", answers_lost),
        *(Kind(name, "cache", draw) for name, draw in kinds_of("cache").items()),
        Kind("cache_flushed", "cache", lambda chance: server.Flushed(chance.uniform(1, 3), chance.randint(1, 5))),
    ]


def _links() -> list[Kind]:
    def kinds_of(name: network.ServerName) -> Mapping[str, Callable[[Random], Fault]]:
        return {
            "down": lambda chance: network.Down(chance.uniform(2, 8), name),
            "resets": lambda chance: network.Resets(chance.uniform(2, 5), name, pause_seconds=chance.uniform(0.2, 1)),
            "held": lambda chance: network.Held(chance.uniform(3, 12), name),
            # Longer than a worker's patience with the database (14 s) and the cache; a broker's clients have more, and
            # may be told of it by the healing.
            "half_open": lambda chance: network.HalfOpen(chance.uniform(16, 20), name),
            "answers_lost": lambda chance: network.AnswersLost(chance.uniform(16, 20), name),
            "black_hole": lambda chance: network.BlackHole(chance.uniform(5, 12), name),
            "slow": lambda chance: network.Slow(chance.uniform(4, 8), name, delay_seconds=chance.uniform(0.05, 0.4)),
        }

    names: tuple[network.ServerName, ...] = ("database", "broker", "cache")
    return [Kind(f"{name}_link_{what}", name, draw) for name in names for what, draw in kinds_of(name).items()]


def _data() -> list[Kind]:
    def poison(kind: str, most: int) -> Kind:
        return Kind(f"poison_{kind}", "data", lambda chance: data.poison(kind, chance.randint(5, most), 1))

    return [
        Kind("duplicates", "data", lambda chance: data.duplicates(chance.randint(200, 2_000), 1)),
        Kind("reordered", "data", lambda chance: data.reordered(chance.randint(100, 500), 1)),
        Kind("long_late", "data", lambda chance: data.long_late(chance.randint(50, 300), 1)),
        Kind("contradictions", "data", lambda chance: data.contradictions(chance.randint(50, 500), 1)),
        Kind("misrouted", "data", lambda chance: data.misrouted(chance.randint(200, 2_000), 1)),
        *(poison(kind, 20 if kind == "large" else 200) for kind in data.POISON),
    ]


KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind for kind in (*_workers(), *_database(), *_broker_and_cache(), *_links(), *_data())
}
# `--quick` takes every kind once but these, which are near relatives of others.
SELDOM: Final = frozenset(
    (
        *(f"worker_killed_at_{point}" for point in ("read", "events_written", "outbox_written", "lanes_advanced")),
        *(f"worker_killed_at_{point}" for point in ("fenced", "publishing", "invalidated", "exported")),
        *(f"worker_killed_at_{point}" for point in ("balances_written", "published")),
        "worker_blocked",
        "worker_told_to_stop",
        "worker_joins_and_leaves",
        "database_restarted",
        "statements_cancelled",
        "failover",
        "broker_restarted",
        *(f"database_link_{what}" for what in ("answers_lost", "held", "slow", "half_open")),
        *(f"broker_link_{what}" for what in ("answers_lost", "half_open", "resets", "slow")),
        *(
            f"cache_link_{what}"
            for what in ("resets", "answers_lost", "black_hole", "slow", "held", "half_open", "down")
        ),
        *(f"poison_{what}" for what in ("nul", "nan", "bad_utf8", "overflow")),
    )
)

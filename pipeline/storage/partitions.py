"""Which partitions a read is expected to touch, and whether that is told: LOG_PARTITION_ROUTING of the source.

PostgreSQL prunes; nobody here chooses a table. What is expected is said beside the read, and held against the plans by
tests/sql/test_plans.py.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import structlog

from pipeline.settings import FlagSettings

_DAY: Final = timedelta(days=1)
BALANCES: Final = ("finance.daily_cash_balances: the organisation's of 16",)
SNAPSHOTS: Final = ("event_store.snapshots: the organisation's of 16",)
EVENTS: Final = ("event_store.events: every month",)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RoutingLog:
    """Tells of each read, or of those of some organisations, at level debug."""

    every_org: bool = False
    orgs: Collection[int] = frozenset()

    def tell(self, org_id: int, statement: str, expected: Sequence[str]) -> None:
        if self.every_org or org_id in self.orgs:
            log.debug("read routed", query=name_of(statement), org_id=org_id, partitions=list(expected))


def routing_log(flags: FlagSettings) -> RoutingLog:
    """What the settings ask for."""
    orgs = flags.log_partition_routing_orgs
    return RoutingLog(flags.log_partition_routing, frozenset(map(int, orgs.split(","))) if orgs else frozenset())


def name_of(statement: str) -> str:
    """The name with which every query file begins: `-- name: what it is for`."""
    return statement[3 : statement.index(":")]


def transactions_of_day(table: str, day: date) -> tuple[str, ...]:
    """The months of `table` that can hold a balance date: zones are at most 14 hours ahead of UTC, and 12 behind."""
    first = day - _DAY if day > date.min else day
    last = day + _DAY if day < date.max else day
    return tuple(sorted({f"finance.{table}_{each.year:04}_{each.month:02}" for each in (first, day, last)}))

"""Triggers that hold a promise, as the database has them: one that is gone or switched off breaks it without a word."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import asyncpg
from prometheus_client import CollectorRegistry, Gauge

import sql

# What migrations make: table, trigger, function. tests/maintenance/test_triggers.py holds it against a new database.
EXPECTED: Final = (
    ("event_store.chain_links", "append_only", "ops.refuse_rewriting"),
    ("ops.operator_audit", "append_only", "ops.refuse_rewriting"),
)


@dataclass(frozen=True, slots=True)
class TriggerStatus:
    """A trigger that is there, or must be. `problem` is null where it is as it must be."""

    table: str
    name: str
    function: str
    expected: bool
    present: bool
    enabled: bool

    @property
    def problem(self) -> str | None:
        if not self.present:
            return f"{self.table}: the trigger {self.name} that calls {self.function} is gone"
        if not self.enabled:
            return f"{self.table}: the trigger {self.name} is switched off"
        return None


async def read_triggers(connection: asyncpg.Connection) -> list[TriggerStatus]:
    """Every trigger of our schemas, and those that are missing."""
    rows = await connection.fetch(sql.query("triggers"))
    return judged([(row["table_name"], row["name"], row["function"], row["enabled"]) for row in rows])


def judged(found: Iterable[tuple[str, str, str, bool]]) -> list[TriggerStatus]:
    """Of triggers as they were found (table, name, function, enabled), how each stands; and each that was not.

    One of the right name that calls another function is not the one that is expected.
    """
    there = {(table, name, function): enabled for table, name, function, enabled in found}
    return [
        TriggerStatus(*key, expected=key in EXPECTED, present=key in there, enabled=there.get(key, False))
        for key in sorted(there.keys() | set(EXPECTED))
    ]


def trigger_gauges(registry: CollectorRegistry, triggers: Iterable[TriggerStatus]) -> None:
    """The same as a metric, in a registry that is of one moment."""
    healthy = Gauge(
        "folio_trigger_healthy",
        "1: the trigger is there and fires; 0: it is gone or switched off.",
        ["table", "trigger"],
        registry=registry,
    )
    # The worst last: another function under the expected name does not make up for the one that is gone.
    for each in sorted(triggers, key=lambda each: each.problem is not None):
        healthy.labels(each.table, each.name).set(each.problem is None)

"""The books that everything is measured on: booked by the workers themselves, so that they are as real ones are.

Every property has a row on each of the days before today, and trades today.
"""

from dataclasses import dataclass, replace
from typing import Final

import asyncpg

from bench.draining import drain_round, ready
from bench.form import Form
from bench.progress import Progress
from bench.target import ROUND, Stream, Target
from bench.workload import Workload, creations

# With today thirty-one days: of 64,000 properties that makes two million rows.
HISTORY_DAYS: Final = 30
_TEMPLATE: Final = "storage"
_TRANSACTIONS_FULL: Final = 10_000_000
_TRANSACTIONS_SHORT: Final = 200_000
_ORGS_FULL: Final = 16_000
_ORGS_SHORT: Final = 320


@dataclass(frozen=True, slots=True)
class Filled:
    """Books of so many transactions in a template, and the stream that they were booked from."""

    stream: Stream
    template: str
    transactions: int

    @property
    def workload(self) -> Workload:
        return self.stream.workload

    def later(self, events: int) -> Workload:
        """Mixed events of the same organisations that go on where the books end."""
        return replace(
            self.workload,
            events=events,
            creations_share=0.7,
            pending_share=0.4,
            history_days=0,
            first_transaction_id=self.transactions + 1,
            seed=self.workload.seed + 1,
        )


def described(form: Form) -> Workload:
    """What is booked: creations, of each property one on every earlier day, and the rest today."""
    transactions = form.events_or(_TRANSACTIONS_SHORT, _TRANSACTIONS_FULL)
    orgs = form.orgs or (_ORGS_FULL if form.full else _ORGS_SHORT)
    today = creations(0, orgs=orgs, properties_loaded=True)
    booked_before = orgs * today.properties_per_org * HISTORY_DAYS
    if transactions <= booked_before:
        raise ValueError(
            f"{transactions:,} events are no more than the history of {orgs:,} organisations: ask for more"
        )
    return replace(
        today,
        name="storage",
        events=transactions - booked_before,
        history_days=HISTORY_DAYS,
        history_density=1.0,
    )


async def filled(target: Target, workload: Workload, workers: int, progress: Progress) -> Filled:
    """Book it, and keep the books as a template."""
    stream, base = await ready(target, workload, workers)
    progress.say(f"storage: booking {workload.events:,} events of today on top of the history")
    await drain_round(target, stream, workers, base)
    await target.derive(_TEMPLATE, ROUND, _at_rest)
    booked_before = workload.orgs * workload.properties_per_org * workload.history_days
    return Filled(stream, _TEMPLATE, booked_before + workload.events)


async def _at_rest(connection: asyncpg.Connection) -> None:
    """As autovacuum leaves books that took months; else the first to read a page writes it, for its hint bits."""
    await connection.execute("VACUUM (ANALYZE)")

"""What checks have left behind, as metrics: a registry of its own, filled from what the tables say."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg
import msgspec
from prometheus_client import CollectorRegistry, Gauge

import sql
from pipeline.consistency.drifts import KINDS
from pipeline.consistency.recording import count_open


@dataclass(frozen=True, slots=True)
class ConsistencyState:
    """How the books stand, as far as checks have looked."""

    open_drifts: dict[str, int]  # by kind
    finished_at: datetime | None  # of the last full or incremental check
    transactions: int  # that it looked at
    seconds: float  # that it took


class _Told(msgspec.Struct):
    transactions: int = 0
    seconds: float = 0.0


async def consistency_state(connection: asyncpg.Connection) -> ConsistencyState:
    """What the tables say now."""
    last = await connection.fetchrow(sql.query("last_check"))
    told = msgspec.json.decode(last["progress"], type=_Told) if last is not None else _Told()
    finished_at = last["updated_at"] if last is not None else None
    return ConsistencyState(await count_open(connection), finished_at, told.transactions, told.seconds)


def consistency_registry(state: ConsistencyState) -> CollectorRegistry:
    """The state as Prometheus reads it."""
    registry = CollectorRegistry()
    drifts = Gauge(
        "folio_open_drifts", "Rows of the books that are not what they are derived from.", ["kind"], registry=registry
    )
    for kind in KINDS:
        drifts.labels(kind).set(state.open_drifts.get(kind, 0))
    finished = Gauge(
        "folio_check_finished_timestamp_seconds", "When the last check of all was done; 0: never.", registry=registry
    )
    finished.set(state.finished_at.timestamp() if state.finished_at is not None else 0)
    Gauge("folio_check_transactions", "Transactions that it looked at.", registry=registry).set(state.transactions)
    Gauge("folio_check_duration_seconds", "How long it looked.", registry=registry).set(state.seconds)
    return registry

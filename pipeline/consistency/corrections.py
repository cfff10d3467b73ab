"""A repair's corrections: each day that drifted is recomputed by the stream's own worker, and nobody else's hand."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final
from uuid import UUID, uuid5

import asyncpg
import msgspec

from batchers.reading import read_corrections
from pipeline.clock import Clock
from pipeline.errors import BrokerUnavailable
from pipeline.producer import Producer
from pipeline.translate import broker_errors
from schemas.corrections import BalanceCorrection
from schemas.events import RecordedBy
from schemas.instants import Instant, moment_of
from schemas.topics import Feed

_LOOK_SECONDS: Final = 0.1
# Within the client's own bound on a request, and some more: it tries again by itself.
_SEND_SECONDS_MAX: Final = 60.0

DayKey = tuple[int, int, date]  # org_id, property_id, balance_date


@dataclass(frozen=True, slots=True)
class Repairing:
    """Which job it is that repairs, since when, and in whose name."""

    job_id: UUID
    began_at: Instant
    user_id: int


def recompute(day: DayKey, repairing: Repairing) -> BalanceCorrection:
    """The correction that brings a day back. Sent again by the same job it is the same one: a duplicate."""
    org_id, property_id, balance_date = day
    return BalanceCorrection(
        correction_id=uuid5(repairing.job_id, f"{org_id} {property_id} {balance_date.isoformat()}"),
        org_id=org_id,
        property_id=property_id,
        balance_date=balance_date,
        kind="recompute",
        reason=f"the day had drifted, says check {repairing.job_id}",
        recorded_by=RecordedBy(repairing.user_id, "folio check"),
        issued_at=moment_of(repairing.began_at),
    )


async def send(producer: Producer, topic_prefix: str, corrections: Iterable[BalanceCorrection]) -> None:
    """Each to its organisation's lane, in order; returns when all are acknowledged. Raises BrokerUnavailable."""
    with broker_errors("sending corrections"):
        handed = [
            await producer.send(topic_prefix + Feed.CORRECTIONS, msgspec.json.encode(each), b"%d" % each.org_id)
            for each in corrections
        ]
        done, waiting = await asyncio.wait(handed, timeout=_SEND_SECONDS_MAX) if handed else (set(), set())
        for each in done:
            each.result()
    if waiting:
        raise BrokerUnavailable(
            f"{len(waiting)} of {len(handed)} corrections were not acknowledged in {_SEND_SECONDS_MAX:g} s; run the "
            "command again: what comes twice is a duplicate"
        )


async def wait_until_applied(
    connection: asyncpg.Connection, corrections: Sequence[BalanceCorrection], seconds: float, clock: Clock
) -> int:
    """Wait until the workers have applied them, or the time is up; returns how many they have not."""
    waiting = sorted((each.org_id, each.correction_id) for each in corrections)
    until = clock.monotonic() + seconds
    while True:
        applied = await read_corrections(connection, waiting)
        waiting = [key for key in waiting if key not in applied]
        if not waiting or clock.monotonic() >= until:
            return len(waiting)
        await asyncio.sleep(_LOOK_SECONDS)

"""One trial: load, a fault or two in it, healing; then everything is drained, accounted, reconciled and nobody left."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.errors import StackFailed
from tests.chaos.arena import Arena
from tests.chaos.checks import accounted, drained, reconciled, settled
from tests.chaos.faults.failover import TAKEOVER_SECONDS_MAX, FailedOver
from tests.chaos.faults.fault import Fault
from tests.chaos.load import LoadBroken
from tests.chaos.plan import Strike
from tests.chaos.promises import DidNotFire, PromiseBroken

# Longest fault, 60 s to drain, the proof: whatever takes longer hangs.
TRIAL_SECONDS_MAX: Final = 300.0
# The load goes on for so long after the healing: what recovers must recover under load.
AFTER_SECONDS: Final = 0.5
_HEAL_SECONDS_MAX: Final = 60.0
# Of a pair one may stop the traffic that the other is to meet: that one then lasts until it has met some.
FELT_SECONDS_MAX: Final = 30.0
_EXPECTED: Final = (PromiseBroken, DidNotFire, LoadBroken, StackFailed, TimeoutError)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a trial. `events` are all that its stream has consumed so far."""

    strike: Strike
    fired: str = ""
    events: int = 0
    sent: int = 0  # while it lasted
    recovery_seconds: float = 0.0
    takeover_seconds: float | None = None  # of a failover, to the first batch on the standby
    seconds: float = 0.0
    failure: str | None = None


async def trial(arena: Arena, strike: Strike) -> Outcome:
    """Run it to its end, whatever that is: a failure is in the outcome."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(TRIAL_SECONDS_MAX):
            return await _run(arena, strike, began)
    except Exception as error:  # noqa: BLE001 - one trial that breaks the harness must not take the others with it
        return Outcome(strike, seconds=time.monotonic() - began, failure=told(error))


def told(error: BaseException) -> str:
    """What went wrong, and whether it was the product's promise or ours."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = f"{type(error).__name__}: {error}"
    return text if isinstance(error, _EXPECTED) else f"the harness broke: {text}"


async def _run(arena: Arena, strike: Strike, began: float) -> Outcome:
    faults = strike.faults()
    for fault in faults:
        fault.enter(arena)
        await fault.prepare()
    sent_before = arena.load.sent
    arena.load.begin(strike.events_per_second)
    arena.reader.begin()
    await asyncio.sleep(strike.before_seconds)
    await _troubled(faults, strike.gap_seconds)
    healed_at = time.monotonic()
    await asyncio.sleep(AFTER_SECONDS)
    await arena.load.end()
    await arena.reader.end()
    recovery_seconds = await drained(arena, healed_at)
    await settled(arena)
    await accounted(arena)
    await arena.reader.check()
    fired = "; ".join([await fault.proof() for fault in faults])
    proof = await reconciled(arena)
    takeover_seconds = _check_takeover(faults)
    return Outcome(
        strike,
        fired,
        events=proof.events + proof.corrections,
        sent=arena.load.sent - sent_before,
        recovery_seconds=recovery_seconds,
        takeover_seconds=takeover_seconds,
        seconds=time.monotonic() - began,
    )


async def _troubled(faults: Sequence[Fault], gap_seconds: float) -> None:
    """From the first blow to the last healing. The second of a pair strikes while the first lasts."""
    troubling: list[Fault] = []  # struck, and not healed yet

    async def to_its_end(fault: Fault) -> None:
        await fault.last()
        await fault.felt(FELT_SECONDS_MAX)
        troubling.remove(fault)
        await fault.heal()

    try:
        async with asyncio.TaskGroup() as lasting:
            for place, fault in enumerate(faults):
                if place:
                    await asyncio.sleep(gap_seconds)
                troubling.append(fault)
                await fault.strike()
                lasting.create_task(to_its_end(fault))
    except BaseException:
        for fault in troubling:
            await _healed_if_possible(fault)
        raise


async def _healed_if_possible(fault: Fault) -> None:
    """After a failure: what it still holds must not trouble the next trial."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_HEAL_SECONDS_MAX):
            await fault.heal()


def _check_takeover(faults: Sequence[Fault]) -> float | None:
    """Of a failover alone: together with another trouble, it waits for that one as well."""
    for fault in faults:
        if isinstance(fault, FailedOver):
            if len(faults) == 1 and fault.takeover_seconds > TAKEOVER_SECONDS_MAX:
                raise PromiseBroken(f"the first batch on the standby came after {fault.takeover_seconds:.1f} s")
            return fault.takeover_seconds
    return None

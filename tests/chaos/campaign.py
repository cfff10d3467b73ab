"""Trial after trial in one arena, a stream for some of them at a time, within a bound of time."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from zlib import crc32

from tests.chaos.arena import Arena, arena
from tests.chaos.plan import Plan, Strike
from tests.chaos.trial import Outcome, told, trial

# Workers and their books live through so many faults before a new stream begins: later ones meet what earlier ones
# have left. More, and the proof after each of them would take longer than the fault.
TRIALS_OF_A_STREAM: Final = 6
STREAM_SECONDS_MAX: Final = 120.0  # to begin one, and to end it


@dataclass
class Results:
    """What came of a campaign."""

    outcomes: list[Outcome] = field(default_factory=list)
    not_run: list[Strike] = field(default_factory=list)
    events: int = 0  # reconciled, each counted once
    seconds: float = 0.0
    broken: str | None = None  # the arena could not be mended: what comes after would prove nothing

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.failure is not None]


async def campaign(plans: Sequence[Plan], seconds_max: float) -> Results:
    """Run the plans one after the other; what the time does not suffice for is told, not run."""
    began = time.monotonic()
    results = Results()
    chapters = [chapter for plan in plans for chapter in _chapters(plan)]
    total = sum(len(chapter) for chapter in chapters)
    async with arena() as made:
        for chapter in chapters:
            if results.broken or time.monotonic() - began > seconds_max:
                results.not_run += chapter
                continue
            await _Chapter(made, results, total).run(chapter)
    results.seconds = time.monotonic() - began
    return results


def _chapters(plan: Plan) -> Iterator[tuple[Strike, ...]]:
    for first in range(0, len(plan.strikes), TRIALS_OF_A_STREAM):
        yield plan.strikes[first : first + TRIALS_OF_A_STREAM]


class _Chapter:
    """The trials of one stream. After a failure a new one begins: what the next trial meets must be sound."""

    def __init__(self, made: Arena, results: Results, total: int) -> None:
        self._made = made
        self._results = results
        self._total = total
        self._begun = False
        self._events = 0  # of the present stream
        self._struck: list[str] = []  # in the present stream

    async def run(self, strikes: Sequence[Strike]) -> None:
        for place, strike in enumerate(strikes):
            if self._results.broken:
                self._results.not_run += strikes[place:]
                return
            outcome = await self._begin(strike) or await trial(self._made, strike)
            await self._note(outcome)
        if self._begun and (failure := await _failure_of(self._made.end_stream())) is not None:
            await self._note(Outcome(strikes[-1], failure=f"at the end of the stream: {failure}"))

    async def _begin(self, strike: Strike) -> Outcome | None:
        """Begin a stream where none is; returns what came of it when it could not be begun."""
        self._struck.append(strike.name)
        if self._begun:
            return None
        self._begun, self._events, self._struck = True, 0, [strike.name]
        # By the first strike: whoever repeats it sends the same records.
        failure = await _failure_of(self._made.begin_stream(crc32(f"{strike.seed} {strike.name}".encode())))
        return None if failure is None else Outcome(strike, failure=f"before it struck: {failure}")

    async def _note(self, outcome: Outcome) -> None:
        results = self._results
        results.outcomes.append(outcome)
        results.events += max(outcome.events - self._events, 0)
        self._events = max(outcome.events, self._events)
        _tell(outcome, len(results.outcomes), self._total)
        if outcome.failure is not None:
            again = f"python -m tests.chaos --seed {outcome.strike.seed} --kinds {','.join(self._struck)}"
            print(f"    again: {again}\n    logs: {_kept(self._made, outcome.strike)}", flush=True)
            results.broken = await _failure_of(self._mended())
            self._begun = False

    async def _mended(self) -> None:
        await self._made.mend()
        await self._made.discard_stream()


async def _failure_of(doing: Awaitable[None]) -> str | None:
    try:
        async with asyncio.timeout(STREAM_SECONDS_MAX):
            await doing
    except Exception as error:  # noqa: BLE001 - as in a trial
        return told(error)
    return None


def _tell(outcome: Outcome, number: int, total: int) -> None:
    strike = outcome.strike
    where = f"[{number}/{total}] seed {strike.seed} {strike.name}"
    if outcome.failure is None:
        print(
            f"{where}: {outcome.fired}; recovered in {outcome.recovery_seconds:.1f} s, {outcome.events:,} events, "
            f"0 differences ({outcome.seconds:.0f} s)",
            flush=True,
        )
        return
    print(f"{where}: FAILED after {outcome.seconds:.0f} s: {outcome.failure}", flush=True)


def _kept(made: Arena, strike: Strike) -> Path:
    """The logs of workers and servers as they are now, where nobody clears them up."""
    folder = Path(tempfile.mkdtemp(prefix=f"folio-chaos-{strike.seed}-"))
    logs = [*made.folder.glob("worker-*.log"), *made.nodes.logs(), made.broker.log, made.cache.log]
    for log in logs:
        if log.exists():
            shutil.copyfile(log, folder / f"{log.parent.name}-{log.name}")
    return folder

"""What each server says of itself: asked every 30 s, every second while one is in trouble, and at once on an error."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from pipeline.clock import Clock
from pipeline.errors import PipelineError
from pipeline.storage.replicas.choice import Condition, Health, LagBounds, Position, Primary, Written, judge
from pipeline.storage.replicas.metrics import ReadMetrics

# While one is not well: soon enough for lag to be known to the second, and for one that is back to be used.
_TROUBLED_SECONDS: Final = 1.0
# A thousand reads may fail in one moment; the servers are asked once.
_PAUSE_SECONDS: Final = 0.2
# A replica that keeps up has within this what the primary had written when asked; then its lag is none.
_CATCH_UP_SECONDS: Final = 0.1
# Looks at the primary that are remembered. At one a second they reach back a minute, far beyond the critical lag.
_LOOKS_MAX: Final = 64
# What was found is not believed for longer than this many intervals: whoever should have looked again has not.
_BELIEVED_INTERVALS: Final = 3

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Server:
    """One server as the checks know it: how it is asked, made ready for reads, and given up."""

    name: str
    ask: Callable[[], Awaitable[Position]]
    ready: Callable[[], Awaitable[object]]
    give_up: Callable[[], None]


def tell_the_log(server: str, health: Health) -> None:
    """A server's condition has changed."""
    tell = log.info if health.condition is Condition.WELL else log.warning
    tell("server health changed", server=server, condition=health.condition.value, detail=health.detail)


class HealthChecks:
    """The health of every replica, and what is known of the primary."""

    def __init__(
        self,
        primary: Server,
        replicas: Sequence[Server],
        bounds: LagBounds,
        interval_seconds: float,
        clock: Clock,
        metrics: ReadMetrics,
        tell: Callable[[str, Health], None] = tell_the_log,
    ) -> None:
        self._primary_server = primary
        self._replicas = replicas
        self._bounds = bounds
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._metrics = metrics
        self._tell_of = tell
        self._primary: Primary | None = None
        self._looks: deque[Written] = deque(maxlen=_LOOKS_MAX)
        self._history: str | None = None
        self._doubted_at = -float("inf")
        self._primary_health = Health()
        self._found = [Health() for _ in replicas]
        self._checked_at = clock.monotonic()
        self._wanted = asyncio.Event()

    @property
    def replicas(self) -> Sequence[Health]:
        """Of each replica, as long as it can be believed."""
        if self._history is None:
            return [Health(detail="the primary's history is not known")] * len(self._found)
        if self._clock.monotonic() - self._checked_at > self._believed_seconds:
            return [Health(detail="not looked at for too long")] * len(self._found)
        return self._found

    @property
    def primary(self) -> Health:
        return self._primary_health

    @property
    def history(self) -> str | None:
        """The primary's: a replica of another one answers nobody. None where it is not known, or in doubt."""
        return self._history

    def vouches_for(self, position: Position) -> bool:
        """Whether a standby, where it stands now, may answer as a replica may: by the last look at its primary."""
        if self._history is None or self._clock.monotonic() - self._looks[-1].at > self._believed_seconds:
            return False
        return judge(position, self._primary, self._bounds, self._clock.monotonic()).usable

    def met_primary(self, epoch: str) -> None:
        """A read went to the primary. If that is of another history than it was, there was a failover since the last
        look: no replica is believed until the next one, which comes at once.

        Doubt, rather than belief in what this read says: it may have been held up on its way, and be the older answer.
        """
        if self._history not in (None, epoch):
            self._history, self._doubted_at = None, self._clock.monotonic()
            self._wanted.set()

    def silent(self, place: int, why: str) -> None:
        """A read got no answer from a replica: nobody asks it until the next check, which comes at once."""
        self._note(place, Health(Condition.SILENT, detail=why))
        self._wanted.set()

    def at_once(self) -> None:
        """Have a check soon, whenever the next one would have been."""
        self._wanted.set()

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            await asyncio.sleep(_PAUSE_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_seconds()):
                    await self._wanted.wait()
            try:
                await self.check()
            except Exception:
                # Whatever it was: without the next look no replica would be believed, and nobody would hear of it.
                log.exception("the health check failed")

    async def check(self) -> None:
        """Ask every server once: the primary first, so that what a replica lacks of that is lag."""
        self._wanted.clear()
        await self._look_at_primary()
        async with asyncio.TaskGroup() as looks:
            for place in range(len(self._replicas)):
                looks.create_task(self._look(place))
        self._checked_at = self._clock.monotonic()

    @property
    def _believed_seconds(self) -> float:
        return _BELIEVED_INTERVALS * self._interval_seconds

    def _pause_seconds(self) -> float:
        everyone = (self._primary_health, *self._found)
        well = all(health.condition is Condition.WELL for health in everyone)
        return self._interval_seconds if well else min(_TROUBLED_SECONDS, self._interval_seconds)

    async def _look_at_primary(self) -> None:
        asked_at = self._clock.monotonic()
        try:
            position = await self._primary_server.ask()
        except PipelineError as error:
            found = Health(Condition.SILENT, detail=str(error))
        else:
            found = Health(Condition.WELL, position.epoch)
            if position.in_recovery:
                found = Health(Condition.STRANGE, position.epoch, detail="the primary's address leads to a standby")
            else:
                self._remember(position, asked_at)
        self._tell(self._primary_server.name, self._primary_health, found)
        self._primary_health = found

    def _remember(self, position: Position, asked_at: float) -> None:
        if self._primary is None or self._primary.epoch != position.epoch:
            self._looks.clear()  # positions of another history say nothing
        self._looks.append(Written(asked_at, position.lsn, position.clock))
        self._primary = Primary(position.epoch, self._looks)
        if asked_at >= self._doubted_at:  # else the next look tells, which comes at once
            self._history = position.epoch

    async def _look(self, place: int) -> None:
        server = self._replicas[place]
        try:
            health = await self._judged(server)
            if health.usable:
                await server.ready()
        except PipelineError as error:
            health = Health(Condition.SILENT, detail=str(error))
        self._note(place, health)

    async def _judged(self, server: Server) -> Health:
        first = judge(await server.ask(), self._primary, self._bounds, self._clock.monotonic())
        if not first.lag_bytes:
            return first
        await asyncio.sleep(_CATCH_UP_SECONDS)
        second = judge(await server.ask(), self._primary, self._bounds, self._clock.monotonic())
        return second if second.lag_bytes is None else replace(second, lag_bytes=first.lag_bytes)

    def _note(self, place: int, health: Health) -> None:
        server = self._replicas[place]
        self._tell(server.name, self._found[place], health)
        if health.condition in (Condition.SILENT, Condition.STRANGE):
            server.give_up()
        self._found[place] = health

    def _tell(self, name: str, before: Health, health: Health) -> None:
        changed = before.condition is not health.condition
        self._metrics.found(name, health, changed=changed)
        if changed:
            self._tell_of(name, health)

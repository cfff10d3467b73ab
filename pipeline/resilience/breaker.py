"""The circuit of one part: after failures in a row nobody calls it for a while, then one call looks if it is back.

    closed  -- failures in a row -->  open  -- open_seconds, and a call -->  half-open  -- it is answered -->  closed
                                       ^------------- it finds the part away -----------'

Counting, and moving between the three, is purgatory's, in memory. What it leaves open is done here:

- Time. It reads the wall clock, which may be set back, and takes no other. So it is told to stay open for ever, and is
  moved to half-open by us, as the monotonic clock says.
- One probe. Half-open, it lets everybody through: a hundred waiting callers would strike a part that just came back.
- Late ends. A call that began before the circuit last changed says nothing about the part since, and is not counted.
- Who says nothing. It takes what does not count as a failure for a success; here a cancelled call is neither, and a
  cancelled probe leaves its place to the next caller.

Nothing here awaits, so nothing can be interrupted half-way.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog
from purgatory import ContextChanged
from purgatory.domain.model import CLOSED, HALF_OPENED, OPENED, Context, HalfOpenedState

from pipeline.clock import Clock
from pipeline.errors import CircuitOpen
from pipeline.resilience.evidence import Evidence, evidence
from pipeline.resilience.metrics import ResilienceMetrics

log = structlog.get_logger()


class State(StrEnum):
    """Of a circuit."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


_STATES: Final = {CLOSED: State.CLOSED, HALF_OPENED: State.HALF_OPEN, OPENED: State.OPEN}
_SHOWN: Final = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}


@dataclass(frozen=True, slots=True)
class BreakerBounds:
    """After how many failures in a row a circuit opens, and for how long."""

    failures: int = 5
    open_seconds: float = 2


class Breaker:
    """The circuit of the part `name`."""

    def __init__(self, name: str, bounds: BreakerBounds, clock: Clock, metrics: ResilienceMetrics) -> None:
        self._name = name
        self._bounds = bounds
        self._clock = clock
        self._metrics = metrics
        self._circuit = Context(name, bounds.failures, ttl=math.inf)
        self._opened_at = -math.inf
        # A probe that has not ended by then is given up: one that hangs must not keep the circuit half-open for ever.
        self._probing_until = -math.inf
        self._away = False  # and told to be
        # Counts the changes of state, and the probes: the end of a call that began in another one is not counted.
        self._period = 0
        self._refused = metrics.refused.labels(name, "circuit")
        self._ended = {said: metrics.calls.labels(name, said.value) for said in Evidence}
        metrics.circuit_state.labels(name).set(_SHOWN[self.state])

    @property
    def state(self) -> State:
        """An open circuit is half-open only once a call has come after its time."""
        return _STATES[self._circuit.state]

    def seconds_left(self) -> float:
        """How long calls are refused, at most; 0 where the next one passes."""
        until = {State.CLOSED: -math.inf, State.HALF_OPEN: self._probing_until, State.OPEN: self._reopens_at}
        return max(0.0, until[self.state] - self._clock.monotonic())

    def check(self) -> None:
        """Raises CircuitOpen where a call would be refused now. Takes nothing, and changes nothing."""
        seconds = self.seconds_left()
        if seconds > 0:
            self._refused.inc()
            why = "was away" if self.state is State.OPEN else "is being looked for by another call"
            raise CircuitOpen(
                f"{self._name} was not called: it {why}; its circuit lets a call through in {seconds:.1f} s at most. "
                "Try again then, or do without it",
                seconds,
            )

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Around one call. Raises CircuitOpen instead of letting it through; counts how it ends."""
        self.check()
        period = self._enter()
        try:
            yield
        except BaseException as error:
            self._leave(period, evidence(error), error)
            raise
        self._leave(period, Evidence.ANSWERED)

    @property
    def _reopens_at(self) -> float:
        return self._opened_at + self._bounds.open_seconds

    def _enter(self) -> int:
        """The call is let through; who asks is the probe, unless the circuit is closed."""
        if self.state is State.OPEN:
            self._circuit.set_state(HalfOpenedState())
            self._changed()
        if self.state is State.HALF_OPEN:
            self._period += 1
            self._probing_until = self._clock.monotonic() + self._bounds.open_seconds
        return self._period

    def _leave(self, period: int, said: Evidence, error: BaseException | None = None) -> None:
        self._ended[said].inc()
        if period != self._period:
            return
        self._probing_until = -math.inf
        if said is Evidence.ANSWERED:
            self._circuit.handle_end_request()
        elif said is Evidence.AWAY:
            assert error is not None, "only an error says that a part is away"
            self._circuit.handle_exception(error)
        self._changed()

    def _changed(self) -> None:
        """Take what the circuit says of itself: it keeps its messages until somebody does."""
        while self._circuit.messages:
            if isinstance(self._circuit.messages.pop(0), ContextChanged):
                self._period += 1
                self._tell()

    def _tell(self) -> None:
        state = self.state
        if state is State.OPEN:
            self._opened_at = self._clock.monotonic()
        self._metrics.circuit_state.labels(self._name).set(_SHOWN[state])
        self._metrics.circuit_transitions.labels(self._name, state.value).inc()
        self._log(state)

    def _log(self, state: State) -> None:
        """Away and back are news; what calls find in between is not, and a worker makes one a second."""
        was_away, self._away = self._away, state is not State.CLOSED
        tell = log.info if state is State.CLOSED else log.debug if was_away else log.warning
        tell("circuit changed", part=self._name, state=state.value)

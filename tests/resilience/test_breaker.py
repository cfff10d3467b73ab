"""A circuit: when it opens, whom it lets through, and which ends count."""

import asyncio
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from pipeline.errors import BatchRejected, CircuitOpen, PoolExhausted
from pipeline.resilience.breaker import Breaker, BreakerBounds, State
from pipeline.resilience.metrics import ResilienceMetrics
from tests.resilience.parts import PART, away, value
from tests.support.clocks import HandClock


def new_breaker(clock: HandClock | None = None, metrics: ResilienceMetrics | None = None) -> Breaker:
    return Breaker(PART, BreakerBounds(open_seconds=60), clock or HandClock(), metrics or ResilienceMetrics())


def call(breaker: Breaker, error: BaseException | None = None) -> None:
    """A call that ends so. Raises CircuitOpen where it was not let through."""
    with suppress(type(error)) if error is not None else nullcontext(), breaker.passing():
        if error is not None:
            raise error


def state_of(breaker: Breaker) -> State:
    """A call, so that nobody takes it for what it was a line before."""
    return breaker.state


def end(passing: AbstractContextManager[None], error: BaseException | None = None) -> None:
    """End a call that was entered by hand."""
    passing.__exit__(None if error is None else type(error), error, None)


def opened(clock: HandClock, metrics: ResilienceMetrics | None = None) -> Breaker:
    breaker = new_breaker(clock, metrics)
    for _ in range(5):
        call(breaker, away())
    assert state_of(breaker) is State.OPEN
    return breaker


def half_open(clock: HandClock, metrics: ResilienceMetrics | None = None) -> Breaker:
    """One whose time has come; the next call is the probe."""
    breaker = opened(clock, metrics)
    clock.pass_seconds(60)
    return breaker


def test_away_and_back_are_told_once_however_many_looks_there_were_in_between() -> None:
    """A worker looks each second: of an hour that would be seven thousand lines."""
    clock = HandClock()
    with capture_logs() as lines:
        breaker = opened(clock)
        for _ in range(10):
            clock.pass_seconds(60)
            call(breaker, away())
        clock.pass_seconds(60)
        call(breaker)
    told = [(line["log_level"], line["state"]) for line in lines if line["log_level"] != "debug"]
    assert told == [("warning", "open"), ("info", "closed")]
    assert len(lines) == 1 + 2 * 10 + 2


def test_five_failures_in_a_row_open_it() -> None:
    breaker = new_breaker()
    for _ in range(4):
        call(breaker, away())
    assert state_of(breaker) is State.CLOSED
    call(breaker, away())
    assert state_of(breaker) is State.OPEN
    with pytest.raises(CircuitOpen, match=r"postgres was not called: it was away; .* in 60\.0 s at most"):
        call(breaker)


@pytest.mark.parametrize("answer", [None, BatchRejected("no such currency")], ids=["result", "refusal"])
def test_an_answer_between_begins_the_row_anew(answer: BaseException | None) -> None:
    breaker = new_breaker()
    for _ in range(4):
        call(breaker, away())
    call(breaker, answer)
    for _ in range(4):
        call(breaker, away())
    assert state_of(breaker) is State.CLOSED


@pytest.mark.parametrize("error", [PoolExhausted("full"), asyncio.CancelledError(), ValueError()], ids=repr)
def test_what_says_nothing_neither_adds_nor_takes_away(error: BaseException) -> None:
    breaker = new_breaker()
    for _ in range(100):
        call(breaker, error)
    for _ in range(4):
        call(breaker, away())
    call(breaker, error)
    assert state_of(breaker) is State.CLOSED
    call(breaker, away())
    assert state_of(breaker) is State.OPEN


def test_it_stays_open_for_its_time_whatever_the_wall_clock_does() -> None:
    clock = HandClock()
    breaker = opened(clock)
    clock.pass_seconds(59.9)
    clock.set_back(-1_000_000)
    with pytest.raises(CircuitOpen):
        call(breaker)
    clock.set_back(2_000_000)
    clock.pass_seconds(0.1)
    call(breaker)
    assert state_of(breaker) is State.CLOSED


def test_a_probe_that_fails_opens_it_for_its_whole_time_again() -> None:
    clock = HandClock()
    breaker = half_open(clock)
    call(breaker, away())
    clock.pass_seconds(59.9)
    with pytest.raises(CircuitOpen):
        call(breaker)
    clock.pass_seconds(0.1)
    call(breaker)
    assert state_of(breaker) is State.CLOSED


def test_while_a_probe_is_out_nobody_else_passes() -> None:
    clock = HandClock()
    breaker = half_open(clock)
    with breaker.passing():
        with pytest.raises(CircuitOpen, match="is being looked for by another call"):
            call(breaker)
        with pytest.raises(CircuitOpen):
            breaker.check()
    call(breaker)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), PoolExhausted("full"), GeneratorExit()], ids=repr)
def test_a_probe_that_says_nothing_leaves_its_place_to_the_next(error: BaseException) -> None:
    breaker = half_open(HandClock())
    call(breaker, error)
    assert (state_of(breaker), breaker.seconds_left()) == (State.HALF_OPEN, 0)
    call(breaker)
    assert state_of(breaker) is State.CLOSED


def test_a_probe_that_hangs_is_given_up_and_its_end_does_not_count() -> None:
    clock = HandClock()
    breaker = half_open(clock)
    hanging = breaker.passing()
    hanging.__enter__()
    clock.pass_seconds(60)
    call(breaker)
    for _ in range(4):
        call(breaker, away())
    end(hanging, away())
    assert state_of(breaker) is State.CLOSED, "the hanging probe was counted"


@pytest.mark.parametrize("error", [None, away()], ids=["answered", "away"])
def test_the_end_of_a_probe_that_was_given_up_is_not_taken_for_that_of_the_next(error: BaseException | None) -> None:
    clock = HandClock()
    breaker = half_open(clock)
    hanging = breaker.passing()
    hanging.__enter__()
    clock.pass_seconds(60)
    with breaker.passing():
        end(hanging, error)
        assert state_of(breaker) is State.HALF_OPEN
        with pytest.raises(CircuitOpen):
            call(breaker)
    assert state_of(breaker) is State.CLOSED


def test_the_end_of_a_call_from_before_the_circuit_opened_does_not_count() -> None:
    """Neither an answer that was long on its way, nor a failure."""
    clock = HandClock()
    breaker = new_breaker(clock)
    late = breaker.passing()
    late.__enter__()
    later = breaker.passing()
    later.__enter__()
    for _ in range(5):
        call(breaker, away())
    clock.pass_seconds(60)
    with breaker.passing():
        end(late)
        assert state_of(breaker) is State.HALF_OPEN
        with pytest.raises(CircuitOpen):
            call(breaker)
        end(later, away())
        assert state_of(breaker) is State.HALF_OPEN
    assert state_of(breaker) is State.CLOSED


def test_every_change_is_shown() -> None:
    clock, metrics = HandClock(), ResilienceMetrics()
    breaker = new_breaker(clock, metrics)
    assert value(metrics, "folio_circuit_state") == 0
    assert value(metrics, "folio_guarded_calls_refused_total", by="circuit") == 0
    for _ in range(5):
        call(breaker, away())
    assert value(metrics, "folio_circuit_state") == 2
    with pytest.raises(CircuitOpen):
        call(breaker)
    clock.pass_seconds(60)
    with breaker.passing():
        assert value(metrics, "folio_circuit_state") == 1
    assert value(metrics, "folio_circuit_state") == 0
    for state in State:
        assert value(metrics, "folio_circuit_transitions_total", state=state.value) == 1
    assert value(metrics, "folio_guarded_calls_total", evidence="away") == 5
    assert value(metrics, "folio_guarded_calls_total", evidence="answered") == 1
    assert value(metrics, "folio_guarded_calls_refused_total", by="circuit") == 1


def test_the_librarys_messages_do_not_pile_up() -> None:
    clock = HandClock()
    breaker = new_breaker(clock)
    for number in range(1_000):
        clock.pass_seconds(60)
        call(breaker, away() if number % 7 else None)
    assert breaker._circuit.messages == []


@dataclass
class Model:
    """What the words say, without the library: for whole calls, one after the other."""

    failures: int = 0
    opened_at: float | None = None

    def call(self, now: float, *, away: bool) -> bool:
        """Whether it is let through."""
        if self.opened_at is not None and now < self.opened_at + 60:
            return False
        if not away:
            self.failures, self.opened_at = 0, None
        elif self.opened_at is not None:
            self.opened_at = now
        else:
            self.failures += 1
            self.opened_at = now if self.failures == 5 else None
        return True


@given(st.lists(st.tuples(st.sampled_from([0, 1, 20, 59, 60, 61]), st.sampled_from([True, True, True, False]))))
def test_it_does_what_the_words_say(steps: list[tuple[int, bool]]) -> None:
    clock, model = HandClock(), Model()
    breaker = new_breaker(clock)
    for seconds, is_away in steps:
        clock.pass_seconds(seconds)
        passes = model.call(clock.monotonic(), away=is_away)
        try:
            call(breaker, away() if is_away else None)
        except CircuitOpen:
            assert not passes
        else:
            assert passes

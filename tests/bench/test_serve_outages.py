"""What requests felt of an outage, and what comes of it."""

import time

import pytest

from bench.serve.exchanging import NO_ANSWER, Answers
from bench.serve.outages import Felt, Outage, felt

SECOND = 1_000_000_000
KILLED = 100 * SECOND


def answers(*values: tuple[float, float, int]) -> Answers:
    """Due so many seconds after the kill, answered so many after that, and how."""
    found = Answers()
    for due, duration, status in values:
        found.due_ns.append(KILLED + round(due * SECOND))
        found.duration_ns.append(round(duration * SECOND))
        found.statuses.append(status)
    return found


def test_failures_and_slow_answers_are_told_apart_with_when_the_last_came() -> None:
    found = felt(answers((-1, 0.1, 200), (1, 0.1, 503), (2, 10, NO_ANSWER), (3, 1.5, 200), (20, 0.1, 200)), KILLED)
    assert found == Felt(5, {503: 1, NO_ANSWER: 1}, 1, 12.0, 4.5, 10_000.0)
    assert felt(answers(), KILLED) == Felt(0, {}, 0, 0.0, 0.0, 0.0)


def test_a_server_has_recovered_with_the_last_failure_after_it_was_back() -> None:
    reads = Felt(990, {}, 0, 0.0, 0.0, 1.0)
    assert Outage("valkey", 3.0, {"reads": reads}).recovered_seconds == 0
    publishes = Felt(10, {503: 2, NO_ANSWER: 1}, 0, 4.5, 0.0, 1.0)
    both = Outage("kafka", 3.0, {"reads": reads, "publishes": publishes})
    assert (both.error_share, both.recovered_seconds) == pytest.approx((0.003, 1.5))


def test_a_duration_counts_from_when_it_was_due() -> None:
    found = Answers()
    found.add(time.monotonic_ns() - SECOND, 200)
    assert found.duration_ns[0] >= SECOND

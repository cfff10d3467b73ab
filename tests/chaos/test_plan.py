"""A seed is one schedule, for ever; and the catalogue is what the issue of it promises to be."""

import re
from dataclasses import replace

import pytest

from pipeline.crash import POINTS
from tests.chaos.catalogue import KINDS, SELDOM
from tests.chaos.plan import PAIR, Strike, plan_of, unknown


def test_a_seed_is_one_schedule() -> None:
    kinds = list(KINDS)
    assert plan_of(7, kinds, 5) == plan_of(7, kinds, 5)
    assert plan_of(7, kinds, 5) != plan_of(8, kinds, 5)


def test_every_kind_strikes_once_and_so_many_pairs_besides() -> None:
    names = [strike.name for strike in plan_of(3, list(KINDS), 6).strikes]
    assert sorted(name for name in names if PAIR not in name) == sorted(KINDS)
    pairs = [name.split(PAIR) for name in names if PAIR in name]
    assert len(pairs) == 6
    assert all(KINDS[one].target != KINDS[other].target for one, other in pairs)


def test_a_fault_is_the_same_when_it_is_run_alone() -> None:
    together = plan_of(5, list(KINDS), 0).strikes
    for strike in together:
        (alone,) = plan_of(5, [strike.name], 0).strikes
        assert alone == strike
        assert _drawn(alone) == _drawn(strike)


def _drawn(strike: Strike) -> str:
    """Every field of its faults; functions are made anew each time, and are told by their names."""
    return re.sub(" at 0x[0-9a-f]+", "", repr(strike.faults()))


@pytest.mark.parametrize("name", KINDS)
def test_seeds_differ_in_how_hard_they_strike(name: str) -> None:
    (strike,) = plan_of(1, [name], 0).strikes
    loads = {replace(strike, seed=seed).faults()[0].hold_seconds for seed in range(20)}
    assert all(0 <= seconds <= 20 for seconds in loads)


def test_each_crash_point_is_a_kind() -> None:
    assert {f"worker_killed_at_{point}" for point in POINTS} <= KINDS.keys()


def test_what_quick_leaves_out_exists_and_enough_is_left() -> None:
    assert KINDS.keys() >= SELDOM
    assert len(KINDS.keys() - SELDOM) >= 30


def test_unknown_names_are_told() -> None:
    names = ["worker_killed", "worker_killed+failover", "earthquake", "worker_killed+every_worker_killed", "a+b+c"]
    assert unknown(names) == ["earthquake", "worker_killed+every_worker_killed", "a+b+c"]

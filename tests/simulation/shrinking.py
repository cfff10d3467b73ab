"""From a failing run to a small one: troubles and records are left out for as long as it fails.

Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (IEEE TSE 2002): halves, then quarters, and
so on. Leaving something out changes what the seed draws later on, so a smaller run may fail in another way: it is still
a run that fails, and easier to read.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from tests.simulation.plan import Plan

T = TypeVar("T")
_RUNS_MAX: Final = 300


class _Tries:
    """Whether a plan fails, asked so many times at most."""

    def __init__(self, fails: Callable[[Plan], bool]) -> None:
        self._fails = fails
        self._left = _RUNS_MAX

    def fails(self, plan: Plan) -> bool:
        if not self._left:
            return False
        self._left -= 1
        return self._fails(plan)


def shrunk(plan: Plan, fails: Callable[[Plan], bool]) -> Plan:
    """A plan of the same seed with as few troubles and records as still fail, as far as `_RUNS_MAX` runs can tell."""
    tries = _Tries(fails)
    faults = _fewest(plan.faults, lambda some: tries.fails(replace(plan, faults=tuple(some))))
    plan = replace(plan, faults=tuple(faults))
    sendings = _fewest(plan.sendings, lambda some: tries.fails(replace(plan, sendings=tuple(some))))
    return replace(plan, sendings=tuple(sendings))


def _fewest(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> Sequence[T]:
    parts = 2
    while len(items) >= 1:
        size = max(len(items) // parts, 1)
        for start in range(0, len(items), size):
            rest = [*items[:start], *items[start + size :]]
            if fails(rest):
                items, parts = rest, max(parts - 1, 2)
                break
        else:
            if size == 1:
                return items
            parts *= 2
    return items

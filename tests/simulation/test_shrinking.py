"""Shrinking: what is left fails, and nothing more can go."""

from dataclasses import replace

from tests.simulation.plan import Plan, plan_of
from tests.simulation.shrinking import shrunk


def test_only_what_makes_it_fail_is_left() -> None:
    plan = next(plan for plan in map(plan_of, range(100)) if len(plan.faults) >= 4 and len(plan.sendings) >= 40)
    culprit, first, last = plan.faults[2], plan.sendings[7], plan.sendings[30]

    def fails(some: Plan) -> bool:
        return culprit in some.faults and {first, last} <= set(some.sendings)

    assert shrunk(plan, fails) == replace(plan, faults=(culprit,), sendings=(first, last))


def test_what_fails_without_any_trouble_has_none_left() -> None:
    plan = plan_of(3)
    assert shrunk(plan, lambda _: True) == replace(plan, faults=(), sendings=())


def test_a_run_that_never_fails_again_stays_whole() -> None:
    plan = plan_of(5)
    assert shrunk(plan, lambda _: False) == plan

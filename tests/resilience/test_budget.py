"""Retries are paid for by calls."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.resilience.budget import RetryBudget


@given(
    share=st.integers(0, 1_000).map(lambda thousandths: thousandths / 1_000),
    saved_max=st.integers(1, 20),
    wants=st.lists(st.booleans(), max_size=300),
)
def test_at_no_moment_have_more_been_taken_than_were_paid_for(share: float, saved_max: int, wants: list[bool]) -> None:
    budget = RetryBudget(share, saved_max)
    paid = taken = 0
    for retry in wants:
        if retry:
            taken += budget.take()
        else:
            budget.pay()
            paid += 1
        assert 1_000 * taken <= round(1_000 * share) * paid


@given(saved_max=st.integers(1, 20), calm=st.integers(0, 1_000))
def test_after_a_calm_no_more_are_kept_than_may_be(saved_max: int, calm: int) -> None:
    budget = RetryBudget(0.2, saved_max)
    for _ in range(calm):
        budget.pay()
    kept = 0
    while budget.take():
        kept += 1
    assert kept == min(saved_max, calm // 5)


def test_ten_tenths_are_one() -> None:
    budget = RetryBudget(0.1, 10)
    for _ in range(10):
        assert not budget.take()
        budget.pay()
    assert budget.take()


def test_without_a_share_there_is_none() -> None:
    budget = RetryBudget(0, 10)
    for _ in range(1_000):
        budget.pay()
    assert not budget.take()

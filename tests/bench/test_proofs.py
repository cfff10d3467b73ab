"""Several proofs as one."""

from bench.proofs import together
from bench.results import Proof


def test_differences_and_counters_add_up() -> None:
    whole = together([Proof(0, "a", 1.0, {"applied": 3}), Proof(2, "b", 2.0, {"applied": 4, "stale": 1})])
    assert whole == Proof(2, "a; b", 3.0, {"applied": 7, "stale": 1})


def test_what_cannot_be_proved_is_not_outweighed() -> None:
    assert together([Proof(0, "a", 1.0), Proof(None, "expired", 0.0), Proof(0, "c", 1.0)]).differences is None

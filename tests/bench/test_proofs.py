"""Several proofs as one."""

from bench.proofs import together
from bench.results import Proof


def test_differences_and_counters_add_up() -> None:
    whole = together([Proof(0, "a", 1.0, {"applied": 3}), Proof(2, "b", 2.0, {"applied": 4, "stale": 1})])
    assert (whole.differences, whole.seconds, whole.outcomes) == (2, 3.0, {"applied": 7, "stale": 1})
    assert "2 books" in whole.summary


def test_one_proof_stays_what_it_is() -> None:
    assert together([Proof(0, "a", 1.0)]) == Proof(0, "a", 1.0)


def test_what_cannot_be_proved_is_not_outweighed() -> None:
    assert together([Proof(0, "a", 1.0), Proof(None, "expired", 0.0), Proof(0, "c", 1.0)]).differences is None

"""Generated messages, a few of the million of the campaign; and that the fuzzer meets what it is there to meet."""

from random import Random

import pytest

from schemas.records import Rejected
from tests.fuzzing import judging
from tests.fuzzing.judging import DisagreementError, accounted, judged_alike
from tests.fuzzing.mutation import bad_seeds, good_seeds, mutated

BATCHES = 60
MESSAGES = 250


@pytest.mark.parametrize("part", range(4))
def test_no_message_crashes_a_decoder_and_every_one_has_its_outcome(part: int) -> None:
    for seed in range(part * BATCHES // 4, (part + 1) * BATCHES // 4):
        chance = Random(seed)
        assert accounted([mutated(chance) for _ in range(MESSAGES)]).messages == MESSAGES


def test_every_reason_that_needs_no_books_is_met_and_so_is_acceptance() -> None:
    chance = Random(1)
    found = {judging.verdict_of(judged_alike(mutated(chance), offset)) for offset in range(4_000)}
    assert {"accepted", "malformed", "schema", "empty", "text"} <= found, found
    assert len(good_seeds()) + len(bad_seeds()) > 600


def test_a_decoder_that_lets_one_more_through_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "_oracle", lambda _message, _offset: ("accepted",))
    chance = Random(2)
    with pytest.raises(DisagreementError, match="codec: "):
        accounted([mutated(chance) for _ in range(MESSAGES)])


def test_the_same_seed_makes_the_same_messages() -> None:
    assert [mutated(Random(7)) for _ in range(3)] == [mutated(Random(7)) for _ in range(3)]
    judged = [judged_alike(mutated(Random(seed)), 0) for seed in range(50)]
    assert any(isinstance(each, Rejected) for each in judged)

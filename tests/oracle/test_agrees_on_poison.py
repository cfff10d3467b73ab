"""The hand-written poison, judged by the oracle's own decoders: the same reason for each."""

from datetime import UTC, datetime

import pytest

from pipeline.oracle import decode, decode_corrections, records
from schemas.topics import Feed
from tests.support.poison import OF_THE_BOOKS, RULES, WIDER, Poison, corpus

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def verdict(poison: Poison, rules: records.Rules) -> str | None:
    """The reason of the refusal; None where the record is accepted."""
    headers = poison.read_headers(NOW)
    names, values = tuple(name for name, _ in headers), tuple(value for _, value in headers)
    record = records.Record(0, 0, NOW, poison.value(NOW), names, values)
    judge = decode.judge if poison.feed is Feed.EVENTS else decode_corrections.judge_correction
    judged = judge(record, rules)
    return judged.reason if isinstance(judged, records.Rejected) else None


@pytest.mark.parametrize("poison", corpus(), ids=lambda poison: f"{poison.feed}.{poison.name}")
def test_the_oracle_gives_the_same_reason(poison: Poison) -> None:
    by_default = records.Rules(0, RULES.past_max, RULES.future_max, "INR", "Asia/Kolkata", "register", 8)
    assert verdict(poison, by_default) == (None if poison.reason in OF_THE_BOOKS else poison.reason)
    wider = records.Rules(0, WIDER.past_max, WIDER.future_max, "INR", "Asia/Kolkata", "register", 8)
    assert (verdict(poison, wider) is None) == (poison.repairable or poison.reason in OF_THE_BOOKS)

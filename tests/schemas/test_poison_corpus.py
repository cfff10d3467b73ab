"""Hundreds of hand-written records that break the contract: each is refused for its reason, and for no other."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from schemas.codec import Rules, judge, judge_correction
from schemas.reasons import Reason
from schemas.records import Judged, Origin, Rejected
from schemas.topics import Feed
from tests.support.poison import OF_THE_BOOKS, RULES, WIDER, Poison, corpus, good_record

# The verdicts hold whenever the records are sent; this is one such instant.
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
# What only a database refuses, or an operator orders, no producer can write down.
NOT_WRITTEN = {Reason.DATABASE_REJECTED, Reason.ORG_PAUSED, Reason.PROPERTY_UNKNOWN}
SENT_AT = [NOW, datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC)]


def name_of(poison: Poison) -> str:
    return f"{poison.feed}.{poison.name}"


def judged(poison: Poison, rules: Rules, now: datetime = NOW) -> Judged:
    origin = Origin(poison.feed, 0, 0, now, poison.key(), poison.value(now), poison.read_headers(now))
    return judge(origin, rules) if poison.feed is Feed.EVENTS else judge_correction(origin, rules)


@pytest.mark.parametrize("poison", corpus(), ids=name_of)
def test_it_is_refused_for_its_reason(poison: Poison) -> None:
    for now in SENT_AT:
        verdict = judged(poison, RULES, now)
        if poison.reason in OF_THE_BOOKS:
            assert not isinstance(verdict, Rejected), verdict
        else:
            assert isinstance(verdict, Rejected), poison.why
            assert verdict.reason is poison.reason, verdict.detail
            assert verdict.detail


def test_wider_rules_accept_exactly_what_is_called_repairable() -> None:
    accepted = [poison for poison in corpus() if not isinstance(judged(poison, WIDER), Rejected)]
    assert [name_of(poison) for poison in accepted] == [
        name_of(poison) for poison in corpus() if poison.repairable or poison.reason in OF_THE_BOOKS
    ]
    assert {poison.feed for poison in accepted if poison.repairable} == set(Feed)
    assert all(poison.reason is Reason.TIME_OUT_OF_BOUNDS for poison in corpus() if poison.repairable)


@pytest.mark.parametrize("feed", Feed)
def test_the_good_record_is_good(feed: Feed) -> None:
    """So that nothing but the one fault is wrong with an entry."""
    origin = Origin(feed, 0, 0, NOW, b"42", good_record(feed, 1000, NOW), ())
    verdict = judge(origin, RULES) if feed is Feed.EVENTS else judge_correction(origin, RULES)
    assert not isinstance(verdict, Rejected), verdict


def test_there_are_hundreds_of_each_kind_and_no_two_are_the_same() -> None:
    of_feed = Counter(poison.feed for poison in corpus())
    assert of_feed[Feed.EVENTS] >= 250
    assert of_feed[Feed.CORRECTIONS] >= 100
    assert {poison.reason for poison in corpus()} == set(Reason) - NOT_WRITTEN
    for feed in Feed:
        own = [poison for poison in corpus() if poison.feed is feed]
        assert len({poison.name for poison in own}) == len(own)
        # Under one number, so that it is not the number that tells them apart.
        alike = [replace(poison, number=1) for poison in own]
        assert len({(poison.key(), poison.value(NOW), poison.read_headers(NOW)) for poison in alike}) == len(own)

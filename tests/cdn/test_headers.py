"""How long a CDN may keep an answer, and under which tags: plain functions."""

from datetime import UTC, date, datetime, timedelta

import pytest

from pipeline.api.surrogate import About, RestsOn, life_seconds, surrogate_headers, tags_of
from pipeline.api.tokens import Principal
from pipeline.cache.lifetimes import Lifetimes
from pipeline.cache.tags import tags_touched

NOW = datetime(2026, 11, 29, 15, 0, tzinfo=UTC)
TODAY = NOW.date()
PAST = TODAY - timedelta(days=2)
LIVES = Lifetimes(15, 120)


def about(rests_on: RestsOn = RestsOn.ONE_DAY, day: date | None = TODAY) -> About:
    return About(7, 9, day, rests_on)


def holder(seconds: float = 3_600) -> Principal:
    return Principal("x", frozenset([7]), frozenset(), NOW.timestamp() + seconds)


@pytest.mark.parametrize(
    ("rests_on", "day", "seconds"),
    [
        (RestsOn.ONE_DAY, TODAY, 15),
        (RestsOn.ONE_DAY, TODAY + timedelta(days=9), 15),
        (RestsOn.ONE_DAY, PAST, 120),
        (RestsOn.A_DAY_AND_OTHERS, PAST, 15),
        (RestsOn.SEVERAL_DAYS, None, 15),
    ],
)
def test_how_long_an_answer_lives(rests_on: RestsOn, day: date | None, seconds: int) -> None:
    assert life_seconds(about(rests_on, day), LIVES, NOW) == seconds


@pytest.mark.parametrize(("left", "life"), [(3_600, 15), (15.9, 15), (9.9, 9), (1.0, 1), (0.9, None), (-20, None)])
def test_no_answer_outlives_the_token_that_it_was_given_to(left: float, life: int | None) -> None:
    """The server itself believes a token for half a minute longer, for clocks that differ; a CDN does not."""
    headers = dict(surrogate_headers(about(), holder(left), LIVES, NOW))
    assert headers.get(b"surrogate-control") == (None if life is None else b"max-age=%d" % life)
    assert bool(headers) is (life is not None)


def test_what_a_cdn_is_told() -> None:
    assert surrogate_headers(about(day=PAST), holder(), LIVES, NOW) == [
        (b"surrogate-control", b"max-age=120"),
        (b"surrogate-key", b"org-7 org-7-property-9 org-7-property-9-2026-11-27"),
    ]


@pytest.mark.parametrize(
    ("rests_on", "changed", "gone"),
    [
        (RestsOn.ONE_DAY, TODAY, True),
        (RestsOn.ONE_DAY, PAST, False),
        (RestsOn.A_DAY_AND_OTHERS, TODAY, True),
        (RestsOn.A_DAY_AND_OTHERS, PAST, True),
        (RestsOn.SEVERAL_DAYS, PAST, True),
    ],
)
def test_what_a_change_purges(rests_on: RestsOn, changed: date, gone: bool) -> None:
    kept = tags_of(about(rests_on, None if rests_on is RestsOn.SEVERAL_DAYS else TODAY))
    assert bool(set(tags_touched({(7, 9): [changed]})) & set(kept)) is gone
    assert not set(tags_touched({(7, 8): [changed], (6, 9): [changed]})) & set(kept)
    assert {"org-7", "org-7-property-9"} <= set(kept)


def test_as_many_tags_as_a_request_may_have_fit_into_a_header() -> None:
    """8 KiB is what Varnish and others take by default."""
    largest = 2**63 - 1
    longest = max(tags_touched({(largest, largest): [TODAY]}), key=len)
    assert 100 * (len(longest) + 1) <= 8_192 - len("Surrogate-Key: ")

"""Which letters go back and which stay, from values alone."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.cli.dlq_views import printable
from pipeline.dead_letters.letters import Letter, Place
from pipeline.dead_letters.planning import (
    COUNT_HEADER,
    FROM_HEADER,
    NEEDS_THE_BOOKS,
    Goes,
    Policy,
    Stays,
    Why,
    plan,
    redrive_count,
)
from schemas.codec import Rules
from schemas.headers import packed_headers, unpacked_headers
from schemas.reasons import Reason
from schemas.records import Headers, Origin
from schemas.topics import Feed
from tests.support.events import NOON, correction, encoded, event

STRICT = Rules(past_max=timedelta(days=30), future_max=timedelta(hours=24))
WIDE = Rules(past_max=timedelta(days=3660), future_max=timedelta(hours=24))
FEEDS = {"p.finance-events": Feed.EVENTS, "p.balance-corrections": Feed.CORRECTIONS}
OLD = encoded(event(1) | {"occurred_at": (NOON - timedelta(days=100)).isoformat()})


def policy(rules: Rules = WIDE, *named: str) -> Policy:
    return Policy(rules, FEEDS, 3, frozenset(named))


def letter(
    value: bytes | None = OLD,
    reason: str = "time_out_of_bounds",
    headers: Headers = (),
    topic: str = "p.finance-events",
    offset: int = 7,
) -> Letter:
    return Letter(Origin(topic, 1, offset, NOON, b"1", value, headers), reason)


def decided(one: Letter, by: Policy | None = None, later: timedelta = timedelta(0)) -> Goes | Stays:
    (only,) = plan([one], by or policy(), NOON + later)
    return only


def why(one: Letter, by: Policy | None = None, later: timedelta = timedelta(0)) -> Why | None:
    result = decided(one, by, later)
    return result.why if isinstance(result, Stays) else None


def test_a_letter_goes_once_the_rule_that_it_broke_is_relaxed() -> None:
    assert why(letter(), policy(STRICT)) is Why.STILL_BROKEN
    assert why(letter(), policy(WIDE)) is None


@pytest.mark.parametrize("value", [None, b"{", encoded(event(1, amount=0)), b" " * 300_000])
def test_what_the_rules_of_now_reject_stays_with_their_reason(value: bytes | None) -> None:
    result = decided(letter(value, "schema"))
    assert isinstance(result, Stays)
    assert result.why is Why.STILL_BROKEN
    assert result.detail.split(":")[0] in set(Reason)


def test_a_letter_that_its_new_append_time_makes_too_old_stays() -> None:
    bound = policy(Rules(timedelta(days=101), timedelta(hours=24)))
    assert why(letter(), bound, timedelta(hours=23)) is None
    assert why(letter(), bound, timedelta(hours=25)) is Why.BROKEN_WHEN_SENT_AGAIN


def test_waiting_does_not_make_an_event_of_the_future_right() -> None:
    early = letter(encoded(event(1) | {"occurred_at": (NOON + timedelta(days=3)).isoformat()}))
    assert why(early, later=timedelta(days=4)) is Why.STILL_BROKEN


@pytest.mark.parametrize("reason", sorted(NEEDS_THE_BOOKS))
def test_what_the_books_refused_goes_only_where_its_reason_is_named(reason: str) -> None:
    other = next(other for other in sorted(NEEDS_THE_BOOKS) if other != reason)
    assert why(letter(reason=reason)) is Why.NEEDS_BOOKS
    assert why(letter(reason=reason), policy(WIDE, other)) is Why.NEEDS_BOOKS
    assert why(letter(reason=reason), policy(WIDE, reason)) is None


def test_a_letter_of_a_paused_organisation_waits_for_it_to_be_resumed() -> None:
    paused = replace(policy(), paused_orgs=frozenset({1}))
    assert why(letter(reason="org_paused"), paused) is Why.ORG_STILL_PAUSED
    assert why(letter(reason="org_paused")) is None
    count = encoded(correction(day=NOON.date(), declared=5))
    assert why(letter(count, topic="p.balance-corrections"), paused) is Why.ORG_STILL_PAUSED


def test_a_topic_of_another_stream_is_left_alone() -> None:
    assert why(letter(topic="finance-events")) is Why.OTHER_STREAM


def test_each_topic_has_its_own_rules() -> None:
    body = encoded(correction(day=NOON.date(), declared=5))
    assert why(letter(body, topic="p.balance-corrections")) is None
    assert why(letter(body)) is Why.STILL_BROKEN


def test_the_new_record_tells_where_it_comes_from_and_keeps_its_own_headers() -> None:
    own: Headers = (("trace", b"1"), ("trace", None), ("größe", b"\xff"))
    result = decided(letter(headers=own))
    assert isinstance(result, Goes)
    assert result.headers == (*own, (FROM_HEADER, b"p.finance-events/1/7"), (COUNT_HEADER, b"1"))


@pytest.mark.parametrize(("count", "goes"), [(b"0", True), (b"2", True), (b"3", False), (b"999999999", False)])
def test_the_guard_leaves_what_was_redriven_often_enough(count: bytes, goes: bool) -> None:
    result = decided(letter(headers=((FROM_HEADER, b"elsewhere"), (COUNT_HEADER, count))))
    assert isinstance(result, Goes) is goes
    if isinstance(result, Goes):
        assert result.headers == ((FROM_HEADER, b"p.finance-events/1/7"), (COUNT_HEADER, b"%d" % (int(count) + 1)))
    else:
        assert result.why is Why.ATTEMPTS_SPENT


@pytest.mark.parametrize("value", [None, b"", b"-1", b"x", b"1" * 5_000, "\u0663".encode()])
def test_a_count_that_is_not_ours_counts_as_none(value: bytes | None) -> None:
    assert redrive_count(((COUNT_HEADER, b"2"), (COUNT_HEADER, value))) == 0


def test_the_order_is_kept() -> None:
    letters = [letter(offset=offset) for offset in (3, 9, 4)]
    assert [each.letter for each in plan(letters, policy(), NOON)] == letters


def test_a_place_is_read_as_it_is_written() -> None:
    place = Place("p.finance-events", 3, 1042)
    assert Place.parse(str(place)) == place


@pytest.mark.parametrize(
    "text", ["", "t", "t/1", "/1/2", "t/x/2", "t/1/-2", "t/1/\u0663", "t/32768/1", f"t/1/{1 << 63}"]
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="topic/lane/offset"):
        Place.parse(text)


def test_headers_come_back_as_the_topic_had_them() -> None:
    odd = b"tr\xff\xfece".decode("utf-8", "surrogateescape")
    headers: Headers = (("trace", None), (odd, b"\x00"), ("", b""), ("größe", b"\xff"))
    assert unpacked_headers(packed_headers(headers)) == headers
    assert unpacked_headers(packed_headers(())) == ()


def test_nothing_that_a_producer_sent_acts_on_a_terminal_or_is_refused_by_the_audit() -> None:
    odd = b"\xff".decode("utf-8", "surrogateescape")
    assert printable(f"größe\n\t\x00\x1b[2J\x9b{odd}") == "größe\n\t\\x00\\x1b[2J\\x9b\\udcff"

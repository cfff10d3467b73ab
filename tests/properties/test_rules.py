"""What may become of a property: existing state and wanted state in, a change or a refusal out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.properties.rules import (
    Judgement,
    Standing,
    Verdict,
    calendar_text,
    first_difference,
    judge,
    needs_history,
    plain,
    zone_at,
    zones_to_write,
)
from schemas.properties import BEGINNING, Calendar, PropertyLine, ZoneFrom

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
INDIA: Calendar = ((BEGINNING, "Asia/Kolkata"),)
MOVED: Calendar = (*INDIA, (MARCH, "Europe/Lisbon"))
UNUSED = Standing("Palace", "INR", 500, self_registered=False, calendar=INDIA, has_balances=False)
USED = replace(UNUSED, has_balances=True)
REGISTERED = replace(UNUSED, name=None, opening_cash_cents=0, self_registered=True)
LINE = PropertyLine(org_id=7, property_id=1, currency="INR", time_zones=(ZoneFrom("Asia/Kolkata"),))
LISBON = ZoneFrom("Europe/Lisbon", MARCH)


def wanted(**fields: Any) -> PropertyLine:
    return msgspec.structs.replace(LINE, **fields)


def judged(standing: Standing | None, latest_booked: datetime | None = None, **fields: Any) -> Judgement:
    return judge(wanted(**fields), standing, latest_booked)


def test_an_unknown_property_is_new_with_what_was_left_out_empty() -> None:
    judgement = judged(None)
    assert judgement.verdict is Verdict.NEW
    assert judgement.writes
    assert (judgement.name, judgement.currency, judgement.opening_cash_cents) == (None, "INR", 0)
    assert judgement.zones == INDIA


def test_a_property_that_stands_as_it_is_wanted_is_unchanged() -> None:
    assert judged(USED, MARCH, name="Palace", opening_cash_cents=500).verdict is Verdict.UNCHANGED
    assert judged(USED, MARCH).verdict is Verdict.UNCHANGED, "what is left out stays"


@pytest.mark.parametrize("name", ["Court", None])
def test_a_name_may_always_change(name: str | None) -> None:
    judgement = judged(USED, MARCH, name=name)
    assert judgement.verdict is Verdict.CHANGED
    assert judgement.name == name
    assert judgement.said == (f"name 'Palace' -> {name!r}",)
    assert judgement.zones == ()
    assert judgement.opening_cash_cents == 500


def test_the_currency_of_an_unused_property_may_change() -> None:
    judgement = judged(UNUSED, currency="USD")
    assert (judgement.verdict, judgement.currency) == (Verdict.CHANGED, "USD")


@pytest.mark.parametrize(
    ("standing", "latest_booked"),
    [(USED, None), (UNUSED, MARCH), (REGISTERED, None)],
    ids=["has balances", "has a booked event", "registered itself"],
)
def test_the_currency_of_a_used_property_stays(standing: Standing, latest_booked: datetime | None) -> None:
    judgement = judged(standing, latest_booked, currency="USD")
    assert judgement.verdict is Verdict.REFUSED
    assert not judgement.writes
    assert "keeps INR" in judgement.said[0]


def test_opening_cash_may_change_until_there_is_a_balance() -> None:
    judgement = judged(UNUSED, MARCH, opening_cash_cents=900)
    assert (judgement.verdict, judgement.opening_cash_cents) == (Verdict.CHANGED, 900)
    assert judgement.said == ("opening cash 5.00 INR -> 9.00 INR",)
    refused = judged(USED, opening_cash_cents=900)
    assert refused.verdict is Verdict.REFUSED
    assert "have to be recomputed" in refused.said[0]


def test_a_zone_change_begins_after_the_latest_booked_instant() -> None:
    zones = (*LINE.time_zones, LISBON)
    accepted = judged(USED, MARCH - timedelta(microseconds=1), time_zones=zones)
    assert accepted.verdict is Verdict.CHANGED
    assert accepted.zones == (MOVED[1],), "the first zone is there"
    refused = judged(USED, MARCH, time_zones=zones)
    assert refused.verdict is Verdict.REFUSED
    assert "must begin after" in refused.said[0]


def test_the_first_zone_may_be_replaced_while_nothing_is_booked() -> None:
    zones = (ZoneFrom("Europe/Lisbon"),)
    judgement = judged(REGISTERED, time_zones=zones)
    assert judgement.verdict is Verdict.CHANGED
    assert judgement.zones == ((BEGINNING, "Europe/Lisbon"),)
    refused = judged(REGISTERED, MARCH, time_zones=zones)
    assert refused.verdict is Verdict.REFUSED
    assert "differ from the beginning on" in refused.said[0]


def test_a_change_that_has_not_begun_can_be_taken_back() -> None:
    standing = replace(USED, calendar=MOVED)
    judgement = judged(standing, MARCH - SECOND)
    assert judgement.zones == ((MARCH, "Asia/Kolkata"),)
    after = replace(standing, calendar=(*INDIA, *judgement.zones))
    assert judged(after, MARCH + SECOND).verdict is Verdict.UNCHANGED
    assert judged(standing, MARCH + SECOND).verdict is Verdict.REFUSED, "it has begun to count"


def test_a_property_that_registered_itself_becomes_a_loaded_one() -> None:
    judgement = judged(REGISTERED, MARCH, name="Palace")
    assert judgement.said == ("registered itself -> loaded", "name None -> 'Palace'")
    assert judged(replace(REGISTERED, self_registered=False), MARCH).verdict is Verdict.UNCHANGED


def test_every_reason_of_a_refusal_is_told() -> None:
    judgement = judged(
        USED, MARCH, currency="USD", opening_cash_cents=1, time_zones=(ZoneFrom("Europe/Lisbon"),), name="Court"
    )
    assert len(judgement.said) == 3


@pytest.mark.parametrize(
    ("fields", "needed"),
    [
        ({}, False),
        ({"name": "Court", "opening_cash_cents": 1}, False),
        ({"currency": "USD"}, True),
        ({"time_zones": (*LINE.time_zones, LISBON)}, True),
    ],
)
def test_history_is_read_only_where_the_judgement_hangs_on_it(fields: dict[str, Any], needed: bool) -> None:
    assert needs_history(wanted(**fields), USED) is needed
    assert not needs_history(wanted(**fields), None)


# --- calendars ---

INSTANTS = [BEGINNING, *(MARCH + timedelta(days=day) for day in range(6))]
calendars = st.lists(
    st.tuples(st.sampled_from(INSTANTS[1:]), st.sampled_from("abc")), max_size=4, unique_by=lambda entry: entry[0]
).flatmap(lambda later: st.sampled_from("abc").map(lambda first: ((BEGINNING, first), *sorted(later))))
probes = [instant + step for instant in INSTANTS for step in (timedelta(0), SECOND)]


@given(calendars, calendars)
def test_two_calendars_agree_up_to_their_first_difference(one: Calendar, other: Calendar) -> None:
    difference = first_difference(one, other)
    for probe in probes:
        if difference is None or probe < difference:
            assert zone_at(one, probe) == zone_at(other, probe)
    if difference is not None:
        assert zone_at(one, difference) != zone_at(other, difference)


@given(calendars, calendars)
def test_the_rows_that_are_written_make_the_calendar_the_wanted_one(standing: Calendar, want: Calendar) -> None:
    rows = tuple(sorted((dict(standing) | dict(zones_to_write(standing, want))).items()))
    assert first_difference(rows, want) is None
    assert plain(rows) == plain(want)
    assert zones_to_write(rows, want) == ()


def test_a_calendar_is_told_without_changes_that_change_nothing() -> None:
    assert calendar_text((*INDIA, (MARCH - SECOND, "Asia/Kolkata"), MOVED[1])) == (
        "Asia/Kolkata, from 2026-03-01T00:00:00+00:00 Europe/Lisbon"
    )

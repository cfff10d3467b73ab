"""The hotels are the same every day, few are large, and few organisations have much of the business."""

from collections import Counter
from datetime import date
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.simulator.hotels import Population, org_of
from pipeline.simulator.names import ROLES, recorded_by
from pipeline.simulator.plan import ORGS_MAX, Plan
from pipeline.simulator.trade import CATEGORIES, season_percent, tables

WEIGHTS = Plan(date(2025, 11, 22)).property_weights


@given(st.integers(1, ORGS_MAX))
def test_an_organisation_is_well_formed(org_id: int) -> None:
    org = org_of(org_id, WEIGHTS)
    assert org.key == b"%d" % org_id
    assert 1 <= len(org.hotels) <= 6
    assert all(8 <= hotel.rooms <= 400 for hotel in org.hotels)
    assert len({hotel.property_id for hotel in org.hotels}) == len(org.hotels)
    assert len(org.slots) == 16
    assert set(org.slots) == set(org.hotels)


def test_most_hotels_are_small_and_most_organisations_have_one() -> None:
    orgs = [org_of(org_id, WEIGHTS) for org_id in range(1, 3_001)]
    rooms = sorted(hotel.rooms for org in orgs for hotel in org.hotels)
    assert 28 <= rooms[len(rooms) // 2] <= 40
    assert rooms[-1] > 300
    counts = Counter(len(org.hotels) for org in orgs)
    assert counts[1] / len(orgs) == pytest.approx(0.5, abs=0.05)
    assert set(counts) == {1, 2, 3, 4, 5, 6}


def test_the_distribution_of_properties_is_the_plans() -> None:
    assert {len(org_of(org_id, (0, 0, 1)).hotels) for org_id in range(1, 200)} == {3}


@given(st.integers(1, 5_000), st.floats(0, 1, exclude_max=True))
def test_every_draw_finds_an_organisation_of_the_plan(orgs: int, u: float) -> None:
    assert 1 <= Population(Plan(date(2025, 11, 22), orgs=orgs)).pick(u).org_id <= orgs


@pytest.mark.parametrize("orgs", [1, 2, 10, 97, 1_000])
def test_every_organisation_can_be_drawn(orgs: int) -> None:
    population = Population(Plan(date(2025, 11, 22), orgs=orgs))
    met = {population.pick(step / 200_000).org_id for step in range(200_000)}
    assert met == set(range(1, orgs + 1))


def test_popularity_follows_zipf() -> None:
    population = Population(Plan(date(2025, 11, 22), orgs=1_000))
    dice = Random(1)
    drawn = Counter(population.pick(dice.random()).org_id for _ in range(100_000))
    shares = [count / 100_000 for _, count in drawn.most_common()]
    assert shares[0] == pytest.approx(0.05, abs=0.01)
    # Exponent 0.8: the tenth is 10^0.8 = 6.3 times rarer than the first, roughly, as the law is continuous here.
    assert 4 < shares[0] / shares[9] < 8
    assert sum(shares[:100]) == pytest.approx(0.51, abs=0.05)


def test_people_of_a_hotel_are_different_and_stay_the_same() -> None:
    people = [recorded_by(77, role) for role in range(len(ROLES))]
    assert people == [recorded_by(77, role) for role in range(len(ROLES))]
    assert len({person.partition('"name"')[2] for person in people}) == len(ROLES)


def test_every_hour_has_its_table_and_amounts_stay_in_their_range() -> None:
    for table in tables(date(2025, 11, 22)):
        assert len(table) == 256
    for category in CATEGORIES:
        assert list(category.eighths) == sorted(category.eighths)
        assert len(category.eighths) == 9
        assert len(category.curve) == 24
        amounts = [category.amount_cents(bits, 100) for bits in range(0, 1 << 16, 97)]
        assert amounts == sorted(amounts)
        assert category.eighths[0] * 100 <= amounts[0]
        assert amounts[-1] <= category.eighths[-1] * 100


def test_december_is_dearer_than_july() -> None:
    assert season_percent(date(2025, 12, 10)) > season_percent(date(2025, 7, 9)) * 1.5

"""The books that `folio bench storage` fills are those that it says, and reads ask for what they hold."""

from collections import Counter
from datetime import timedelta
from random import Random

import msgspec
import pytest

from bench.form import Form
from bench.generating import Generator
from bench.limiting.crew import Done
from bench.limiting.measuring import Alone
from bench.limiting.metering import CHAIN
from bench.loading import Loaded
from bench.storage.chaining import share_of
from bench.storage.filling import HISTORY_DAYS, Filled, described
from bench.storage.reading import somewhere
from bench.target import Stream
from bench.workload import Census

FORM = Form(events=200, orgs=1)  # four properties, thirty days of history: 120 transactions before today's 80


def booked() -> Counter[tuple[int, int]]:
    """Property and day of every message that fills the books."""
    generator = Generator(described(FORM))
    found: Counter[tuple[int, int]] = Counter()
    for _, value in (*generator.history(), *generator.events()):
        event = msgspec.json.decode(value)
        found[event["property_id"], event["aggregate_id"]] += 1
    assert generator.census().transactions == len(found)
    return found


def test_every_property_has_a_row_on_each_day_before_today_and_the_rest_is_of_today() -> None:
    generator = Generator(described(FORM))
    assert sum(1 for _ in generator.history()) == 4 * HISTORY_DAYS
    assert sum(1 for _ in generator.events()) == 80
    assert generator.census().property_days == 4 * (HISTORY_DAYS + 1)


def test_the_full_form_is_what_the_target_names() -> None:
    full = described(Form("full"))
    days = full.orgs * full.properties_per_org * (HISTORY_DAYS + 1)
    history = full.orgs * full.properties_per_org * full.history_days
    assert full.events + history == 10_000_000
    assert days == pytest.approx(2_000_000, rel=0.02)


def test_books_without_a_today_are_refused() -> None:
    with pytest.raises(ValueError, match="no more than the history"):
        described(Form(events=120, orgs=1))


def test_what_comes_live_is_nobody_elses_transaction() -> None:
    workload = described(FORM)
    filled = Filled(Stream(workload, "", 1, Loaded(Census(), 0.0, 0.0)), "", 200)
    known = {number for _, number in booked()}
    later = {msgspec.json.decode(value)["aggregate_id"] for _, value in Generator(filled.later(50)).events()}
    assert known == set(range(1, 201))
    assert min(later) == 201


def test_reads_ask_for_days_that_have_a_balance() -> None:
    workload, choice = described(FORM), Random(1)
    properties = {property_id for property_id, _ in booked()}
    asked = {somewhere(workload, choice) for _ in range(2_000)}
    assert {property_id for _, property_id, _ in asked} == properties
    assert {workload.today - day for _, _, day in asked} == {timedelta(days=back) for back in range(HISTORY_DAYS + 1)}


def test_the_chains_share_is_its_stage_and_its_statement() -> None:
    done = Done(events=10, cpu=6.0, stages={CHAIN: 0.2, "decide": 3.0}, statements={"append_chain_links": 0.1})
    assert share_of(Alone([done], {"database": 3.0, "broker": 1.0})) == pytest.approx(0.03)

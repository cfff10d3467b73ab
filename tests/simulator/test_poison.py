"""Every way to break the contract is refused for its reason, whatever event it spoils."""

import json
from datetime import date
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.simulator import poison_corrections
from pipeline.simulator.day import trading_day
from pipeline.simulator.plan import Message, Plan
from pipeline.simulator.poison import CATALOGUE, CONFLICT
from pipeline.simulator.spoiling import Poison
from schemas.reasons import Reason
from schemas.records import Accepted, AcceptedCorrection, Rejected
from tests.simulator.judging import NEED_THE_BOOKS, accepted, accepted_correction, judged

CLEAN = [
    message
    for message in islice(
        trading_day(Plan(date(2025, 11, 22), events=400, seed=3, poison_share=0, correction_share=0)), 400
    )
    if message.value is not None
]
COUNTS = [
    message
    for message in trading_day(Plan(date(2025, 11, 22), events=2_000, seed=3, poison_share=0, correction_share=0.05))
    if message.kind == "counted"
]


def test_every_reason_that_a_producer_can_cause_is_there() -> None:
    assert {poison.reason for poison in CATALOGUE} == set(Reason) - {
        Reason.DATABASE_REJECTED,
        Reason.CORRECTION_CONFLICT,
        Reason.PROPERTY_UNKNOWN,
        Reason.ORG_PAUSED,
    }
    assert len({poison.name for poison in CATALOGUE}) == len(CATALOGUE)


def test_every_reason_that_an_accountants_tool_can_cause_is_there() -> None:
    only_of_events = {Reason.VERSION_CONFLICT, Reason.STATUS_MISMATCH, Reason.CURRENCY_MISMATCH}
    found = {poison.reason for poison in poison_corrections.CATALOGUE}
    only_of_the_books = {Reason.DATABASE_REJECTED, Reason.PROPERTY_UNKNOWN, Reason.ORG_PAUSED}
    assert found == set(Reason) - only_of_events - only_of_the_books
    assert len({poison.name for poison in poison_corrections.CATALOGUE}) == len(poison_corrections.CATALOGUE)


@pytest.mark.parametrize("poison", poison_corrections.CATALOGUE, ids=lambda poison: poison.name)
@given(count=st.sampled_from(COUNTS))
def test_poison_of_a_correction_is_refused_for_its_reason(poison: Poison, count: Message) -> None:
    assert count.value is not None
    before = accepted_correction(count)
    verdict = judged(count._replace(value=poison.spoil(count.value)))
    if poison is poison_corrections.CONFLICT:
        assert isinstance(verdict, AcceptedCorrection)
        assert verdict.key == before.key
        assert verdict.content_hash != before.content_hash
    else:
        assert isinstance(verdict, Rejected)
        assert verdict.reason is poison.reason, verdict.detail


@pytest.mark.parametrize("poison", CATALOGUE, ids=lambda poison: poison.name)
@given(clean=st.sampled_from(CLEAN))
def test_poison_is_refused_for_its_reason(poison: Poison, clean: Message) -> None:
    assert clean.value is not None
    accepted(clean)
    verdict = judged(clean._replace(value=poison.spoil(clean.value)))
    if poison.reason in NEED_THE_BOOKS:
        assert isinstance(verdict, Accepted)
    else:
        assert isinstance(verdict, Rejected)
        assert verdict.reason is poison.reason, verdict.detail


@given(clean=st.sampled_from(CLEAN))
def test_a_conflict_is_the_same_version_with_another_body(clean: Message) -> None:
    assert clean.value is not None
    before = accepted(clean)
    after = accepted(clean._replace(value=CONFLICT.spoil(clean.value)))
    identity = ("org_id", "aggregate_type", "aggregate_id", "version")
    assert [getattr(after.event, name) for name in identity] == [getattr(before.event, name) for name in identity]
    assert after.content_hash != before.content_hash


def test_a_foreign_currency_is_the_only_fault_of_its_event() -> None:
    dollars = next(poison for poison in CATALOGUE if poison.reason is Reason.CURRENCY_MISMATCH)
    clean = CLEAN[0].value
    assert clean is not None
    spoilt = dollars.spoil(clean)
    assert spoilt is not None
    event, before = json.loads(spoilt), json.loads(clean)
    assert event["data"].pop("currency") == "USD"
    before["data"].pop("currency", None)
    assert event == before

"""Corrections of a simulated day: believable, in the order of their hotel, and what the books would agree with."""

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import date, timedelta, timezone
from itertools import islice
from random import Random

import pytest

from pipeline.simulator.day import messages, trading_day
from pipeline.simulator.hotels import org_of
from pipeline.simulator.plan import Message, Opening, Plan
from pipeline.simulator.tills import Till, Tills
from pipeline.simulator.wire import HOUR_MS, day_number, midnight_ms
from schemas.corrections import BalanceCorrection
from schemas.events import FinanceEvent
from schemas.reasons import Reason
from schemas.records import Rejected
from schemas.topics import Feed
from tests.simulator.judging import NEED_THE_BOOKS, accepted, accepted_correction, judged

DAY = date(2025, 11, 22)
HOTELS_ZONE = timezone(timedelta(hours=5, minutes=30))
PLAN = Plan(DAY, events=40_000, orgs=500)
KINDS = {"counted", "withdrawn", "recounted", "restated", "recomputed"}


@pytest.fixture(scope="module")
def day() -> list[Message]:
    """A day as `make run` has it, only shorter."""
    return list(trading_day(PLAN))


@pytest.fixture(scope="module")
def corrections(day: list[Message]) -> list[Message]:
    return [message for message in day if message.feed is Feed.CORRECTIONS]


def said(message: Message) -> BalanceCorrection:
    return accepted_correction(message).correction


def good(stream: list[Message]) -> list[Message]:
    return [message for message in stream if message.kind in KINDS]


class Ledger:
    """The books of one day by the plainest of folds: transactions, and figures restated, in the order of sending."""

    def __init__(self, *, counted_yesterday: bool) -> None:
        self._counted_yesterday = counted_yesterday
        self._newest: dict[tuple[str, int], FinanceEvent] = {}
        self.figures: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        self.before: Counter[int] = Counter()  # cash of earlier days

    def take(self, event: FinanceEvent) -> None:
        key = event.aggregate_type, event.aggregate_id
        old = self._newest.get(key)
        if old is None or event.version > old.version:
            self._newest[key] = event
            if old is not None:
                self._add(old, -1)
            self._add(event, 1)

    def _add(self, event: FinanceEvent, sign: int) -> None:
        if event.data.status != "approved":
            return
        expense, bank = event.aggregate_type == "expense", event.data.payment_mode == "bank"
        cents = sign * event.data.amount_cents
        if event.occurred_at.astimezone(HOTELS_ZONE).date() == DAY:
            self.figures[event.property_id][expense * 2 + bank] += cents
        elif not bank and not self._counted_yesterday:
            self.before[event.property_id] += -cents if expense else cents

    def calculated(self, property_id: int) -> int:
        cash_received, _, cash_expenses, _ = self.figures[property_id]
        return self.before[property_id] + cash_received - cash_expenses


def off_by(stream: list[Message], counted_yesterday: int | None = None) -> list[int]:
    """Of each count, how far it is from what the books say when it is sent."""
    opening = counted_yesterday or 0
    ledger, found = Ledger(counted_yesterday=counted_yesterday is not None), []
    for message in stream:
        if message.feed is Feed.EVENTS:
            if not message.kind.startswith("poison."):
                ledger.take(accepted(message).event)
        elif message.kind in KINDS:
            correction = said(message)
            if correction.figures is not None:
                stated = correction.figures
                ledger.figures[correction.property_id] = [
                    stated.cash_received_cents,
                    stated.bank_received_cents,
                    stated.cash_expenses_cents,
                    stated.bank_expenses_cents,
                ]
            elif message.kind == "counted":
                assert isinstance(correction.declared_closing_cents, int)
                found.append(correction.declared_closing_cents - opening - ledger.calculated(correction.property_id))
    return found


def test_they_are_as_many_as_the_plan_says_and_most_come_when_the_day_closes(day: list[Message]) -> None:
    places = [index for index, message in enumerate(day) if message.feed is Feed.CORRECTIONS]
    assert len(places) / len(day) == pytest.approx(0.015, rel=0.1)
    assert sum(index > len(day) * 0.98 for index in places) / len(places) == pytest.approx(0.9, abs=0.05)


def test_every_kind_is_there_and_most_are_counts(corrections: list[Message]) -> None:
    kinds = Counter(message.kind for message in corrections)
    assert all(kinds[kind] for kind in KINDS)
    assert kinds["counted"] / len(corrections) > 0.7
    assert kinds["restated"] / len(corrections) > 0.03
    assert kinds["duplicate"]


def test_what_is_not_poison_is_accepted_and_keyed_by_its_organisation(corrections: list[Message]) -> None:
    for message in corrections:
        if not message.kind.startswith("poison."):
            correction = said(message)
            assert message.key == b"%d" % correction.org_id
            assert correction.balance_date == DAY
            assert correction.property_id // 10 == correction.org_id


def test_poison_is_rejected_for_its_reason_and_redeliveries_hash_as_what_was_sent() -> None:
    plan = replace(PLAN, events=20_000, correction_share=0.2, poison_share=0.01, duplicate_share=0.02)
    known: dict[bytes, str] = {}
    redelivered: Counter[str] = Counter()
    met: Counter[Reason] = Counter()
    values: set[bytes | None] = set()
    otherwise = 0
    for message in trading_day(plan):
        if message.feed is Feed.EVENTS:
            continue
        if message.kind.startswith("poison."):
            reason = Reason(message.kind.removeprefix("poison."))
            verdict = judged(message)
            assert isinstance(verdict, Rejected) == (reason not in NEED_THE_BOOKS)
            assert not isinstance(verdict, Rejected) or verdict.reason is reason
            met[reason] += 1
        elif message.kind == "duplicate":
            redelivered[known[accepted_correction(message).content_hash]] += 1
            otherwise += message.value not in values
        elif message.kind in KINDS:
            known[accepted_correction(message).content_hash] = message.kind
        values.add(message.value)
    assert set(met) == {
        Reason.MALFORMED,
        Reason.SCHEMA,
        Reason.TEXT,
        Reason.TIME_OUT_OF_BOUNDS,
        Reason.EMPTY,
        Reason.TOO_LARGE,
        Reason.CORRECTION_CONFLICT,
    }
    assert sum(met.values()) / 4_000 == pytest.approx(0.04, rel=0.3)
    assert set(redelivered) == KINDS
    assert redelivered.total() / 4_000 == pytest.approx(0.08, rel=0.3)
    assert otherwise > 50


def test_a_count_is_what_the_books_say_but_for_small_change(day: list[Message]) -> None:
    differences = off_by(day)
    assert len(differences) > 300
    assert sum(not cents for cents in differences) / len(differences) == pytest.approx(0.6, abs=0.08)
    assert sum(abs(cents) <= 300 for cents in differences) / len(differences) > 0.9
    assert len(set(differences)) > 50


def test_a_count_stands_on_what_the_drawer_held_the_day_before() -> None:
    hotels = {(org, org * 10 + hotel) for org in range(1, 501) for hotel in range(1, 7)}
    opening = Opening(closing_cents=700_000_000, counted_on=DAY - timedelta(days=1))
    plan = replace(PLAN, events=20_000, openings=dict.fromkeys(hotels, opening), late_share=0.2)
    # What comes late moves earlier days, and not an opening that was counted.
    differences = off_by(list(trading_day(plan)), counted_yesterday=700_000_000)
    assert sum(abs(cents) <= 300 for cents in differences) / len(differences) > 0.9


def test_a_count_that_is_withdrawn_was_there_and_is_followed_by_another(day: list[Message]) -> None:
    lives: defaultdict[int, list[str]] = defaultdict(list)
    for message in good(day):
        correction = said(message)
        if correction.kind == "declared_closing":
            assert (correction.declared_closing_cents is None) == (message.kind == "withdrawn")
            lives[correction.property_id].append(message.kind)
    doubted = [life for life in lives.values() if "withdrawn" in life]
    assert len(doubted) > 3
    for life in doubted:
        assert "counted" in life[: life.index("withdrawn")]
    followed = sum(life.count("recounted") for life in doubted)
    assert followed >= sum(life.count("withdrawn") for life in doubted) - 1, "but for the last one of a day"


def test_two_runs_of_a_day_share_no_correction() -> None:
    first, second = (
        {said(message).correction_id for message in good(list(trading_day(replace(PLAN, events=4_000, id_base=base))))}
        for base in (0, 4_000)
    )
    assert first
    assert not first & second


def test_an_endless_stream_corrects_as_often_and_opens_the_next_day() -> None:
    start = midnight_ms(DAY) + 20 * HOUR_MS
    plan = replace(PLAN, orgs=20)
    stream = list(islice(messages(plan, (start + index * 1_000 for index in range(10**9))), 20_000))
    found = good(stream)
    assert len(found) / len(stream) == pytest.approx(0.015, rel=0.3)
    assert {said(message).balance_date for message in found} == {DAY, DAY + timedelta(days=1)}


def test_hotels_beyond_the_bound_have_no_till(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.simulator.tills._TILLS_MAX", 10)
    counted = {said(message).property_id for message in good(list(trading_day(replace(PLAN, events=10_000))))}
    assert 5 <= len(counted) <= 10


def test_a_day_that_was_counted_opens_the_next_with_its_count_and_takes_nothing_late() -> None:
    org = org_of(7, PLAN.property_weights)
    till = Till(org, org.hotels[0], opening_cents=100, counted_through=-1, figures=[50, 9, 20, 9])
    assert till.calculated_cents == 130
    till.next_day(day_number(DAY))
    assert (till.opening_cents, till.counted_through, till.figures) == (130, -1, [0, 0, 0, 0])
    till.counted_cents = 125
    till.next_day(day_number(DAY) + 1)
    assert (till.opening_cents, till.counted_through) == (125, day_number(DAY))


def test_nobody_counts_less_than_nothing(corrections: list[Message]) -> None:
    assert Tills(PLAN).uncounted(Random(1)) is None
    counts = [said(message).declared_closing_cents for message in good(corrections)]
    assert all(count >= 0 for count in counts if isinstance(count, int))

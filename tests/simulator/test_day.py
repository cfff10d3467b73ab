"""A simulated day is the same bytes everywhere, and is what it says it is."""

import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.simulator.day import messages, timeline, trading_day
from pipeline.simulator.plan import Message, Plan
from pipeline.simulator.wire import DAY_MS, OFFSET_MS, local_hour, midnight_ms
from schemas.events import FinanceEvent
from schemas.reasons import Reason
from schemas.records import Accepted, Rejected
from tests.simulator.judging import NEED_THE_BOOKS, accepted, judged

DAY = date(2025, 11, 22)  # a Saturday
PLAIN_KINDS = {"created", "approved", "rejected", "edited", "moved", "deleted", "revived", "gap", "stale", "duplicate"}


def digest(stream: Iterable[Message]) -> str:
    hashed = sha256()
    for key, value, kind, _ in stream:
        for part in (key or b"", value or b"", kind.encode()):
            hashed.update(len(part).to_bytes(4, "big") + part)
    return hashed.hexdigest()


@pytest.fixture(scope="module")
def day() -> list[Message]:
    """A day of events that is large enough to count shares in, with more trouble than usual."""
    plan = Plan(DAY, events=30_000, orgs=500, poison_share=0.01, duplicate_share=0.02, correction_share=0)
    return list(trading_day(plan))


def test_the_bytes_are_those_of_every_platform_and_version() -> None:
    plan = Plan(DAY, events=5_000, orgs=1_000, seed=7, poison_share=0.02, duplicate_share=0.02, correction_share=0)
    # Recorded with Python 3.11, 3.12 and 3.13. A change of the simulator may change it; a platform must not.
    assert digest(trading_day(plan)) == "c6db4ee844d142be0dcd50ae5b1b79cc236623a3bb3ad673dde2b997ff02bf1a"
    corrected = digest(trading_day(replace(plan, correction_share=0.05)))  # with Python 3.11
    assert corrected == "b7b21d7d8ad0f4da8316dc287a1c5c679dcd1bc5a56d16e0de9f650c211709be"


def test_each_part_of_a_plan_makes_another_day() -> None:
    plans = [
        Plan(DAY, events=200),
        Plan(DAY, events=200, seed=2),
        Plan(DAY, events=200, id_base=200),
        Plan(DAY, events=200, orgs=999),
        Plan(DAY - timedelta(days=1), events=200),
    ]
    assert len({digest(trading_day(plan)) for plan in plans}) == len(plans)


def test_two_runs_of_a_day_share_no_transaction_and_no_event_id() -> None:
    first, second = (
        [
            accepted(m).event
            for m in trading_day(Plan(DAY, events=2_000, id_base=base, poison_share=0, correction_share=0))
        ]
        for base in (0, 2_000)
    )
    assert not {event.aggregate_id for event in first} & {event.aggregate_id for event in second}
    assert not {event.event_id for event in first} & {event.event_id for event in second}
    assert all(0 < event.aggregate_id <= 2_000 for event in first)


@given(
    seed=st.integers(0, 2**63),
    orgs=st.integers(1, 10_000_000),
    events=st.integers(0, 400),
    poison=st.sampled_from((0.0, 0.1, 1.0)),
    corrections=st.sampled_from((0.0, 0.015, 0.5)),
    day=st.dates(date(2020, 1, 1), date(2030, 12, 31)),
)
@settings(max_examples=60, deadline=None)
def test_any_plan_gives_exactly_its_events(
    seed: int, orgs: int, events: int, poison: float, corrections: float, day: date
) -> None:
    plan = Plan(
        day,
        events=events,
        orgs=orgs,
        seed=seed,
        poison_share=poison,
        duplicate_share=0,
        correction_share=corrections,
    )
    stream = list(trading_day(plan))
    assert len(stream) == events
    assert digest(stream) == digest(trading_day(plan))


def test_what_is_not_poison_is_accepted_and_keyed_by_its_organisation(day: list[Message]) -> None:
    for message in day:
        if not message.kind.startswith("poison."):
            assert message.kind in PLAIN_KINDS
            assert message.key == b"%d" % accepted(message).event.org_id


def test_poison_is_rejected_for_its_reason(day: list[Message]) -> None:
    met = set()
    for message in day:
        if message.kind.startswith("poison."):
            reason = Reason(message.kind.removeprefix("poison."))
            verdict = judged(message)
            if reason in NEED_THE_BOOKS:
                assert isinstance(verdict, Accepted)
            else:
                assert isinstance(verdict, Rejected)
                assert verdict.reason is reason, verdict.detail
            met.add(reason)
    assert met == set(Reason) - {
        Reason.DATABASE_REJECTED,
        Reason.CORRECTION_CONFLICT,
        Reason.PROPERTY_UNKNOWN,
        Reason.ORG_PAUSED,
    }


def test_shares_are_those_of_the_plan(day: list[Message]) -> None:
    kinds = Counter(message.kind for message in day)
    total = len(day)
    poison = sum(count for kind, count in kinds.items() if kind.startswith("poison."))
    assert poison / total == pytest.approx(0.01, rel=0.25)
    assert kinds["duplicate"] / total == pytest.approx(0.02, rel=0.25)
    ordinary = total - poison - kinds["duplicate"]
    assert kinds["created"] / ordinary == pytest.approx(0.70, abs=0.02)
    assert kinds["approved"] / ordinary == pytest.approx(0.21, abs=0.02)
    assert all(kinds[kind] > 0 for kind in PLAIN_KINDS)
    assert kinds["stale"] + kinds["gap"] < total * 0.005


def test_created_transactions_happen_today_but_for_the_late_ones(day: list[Message]) -> None:
    created = [accepted(message).event for message in day if message.kind == "created"]
    today = datetime(2025, 11, 21, 18, 30, tzinfo=UTC)
    ages = [(today - event.occurred_at).days + 1 for event in created]  # 0 is today
    assert max(ages) <= 80
    assert min(ages) == 0
    assert sum(age >= 8 for age in ages) / len(ages) == pytest.approx(0.02 * 73 / 79, rel=0.25)
    assert sum(1 <= age <= 7 for age in ages) / len(ages) == pytest.approx(0.08 + 0.02 * 6 / 79, rel=0.2)
    assert Counter(event.data.status for event in created)["pending"] / len(created) == pytest.approx(0.6, abs=0.03)


@pytest.mark.parametrize("day_before", range(3))
def test_late_and_recent_transactions_are_as_old_as_they_should_be(day_before: int) -> None:
    midnight = datetime(2025, 11, 21, 18, 30, tzinfo=UTC) - timedelta(days=day_before)
    for late, recent, ages in ((1, 0, range(2, 82)), (0, 1, range(1, 9)), (0, 0, range(1))):
        plan = Plan(
            DAY - timedelta(days=day_before),
            events=2_000,
            late_share=late,
            recent_share=recent,
            poison_share=0,
            correction_share=0,
        )
        created = [accepted(message).event for message in trading_day(plan) if message.kind == "created"]
        # A range ends one later than the oldest: what was recorded after midnight may have happened before it.
        assert {(midnight - event.occurred_at).days + 1 for event in created} <= set(ages)


def test_what_was_overtaken_is_sent_even_when_the_day_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.simulator.day._OVERTAKING_SHARE", 0.9)
    monkeypatch.setattr("pipeline.simulator.day._GAP_SHARE", 0.0)
    for seed in range(50):
        plan = Plan(DAY, events=60, seed=seed, poison_share=0, duplicate_share=0, correction_share=0)
        versions: defaultdict[int, list[int]] = defaultdict(list)
        stream = list(trading_day(plan))
        for message in stream:
            event = accepted(message).event
            versions[event.aggregate_id].append(event.version)
        assert len(stream) == plan.events
        assert all(sorted(life) == list(range(1, len(life) + 1)) for life in versions.values())


def test_versions_rise_one_by_one_but_for_gaps_and_what_was_overtaken(day: list[Message]) -> None:
    latest: dict[int, int] = {}
    steps: Counter[int] = Counter()
    stale = 0
    for message in day:
        if message.kind == "duplicate" or message.kind.startswith("poison."):
            continue
        event = accepted(message).event
        before = latest.get(event.aggregate_id, 0)
        if message.kind == "stale":
            assert event.version < before
            stale += 1
            continue
        assert event.version > before, event
        steps[event.version - before] += 1
        latest[event.aggregate_id] = event.version
    kinds = Counter(message.kind for message in day)
    # A step of two is a gap, or the one whose predecessor follows later. Both on one transaction make three.
    assert steps[2] + steps[3] == pytest.approx(kinds["gap"] + stale, abs=1)
    assert set(steps) <= {1, 2, 3}


def test_a_transaction_lives_by_the_rules_of_its_kind(day: list[Message]) -> None:
    lives: defaultdict[int, list[tuple[int, FinanceEvent]]] = defaultdict(list)
    for message in day:
        if message.kind in PLAIN_KINDS - {"duplicate"}:
            event = accepted(message).event
            lives[event.aggregate_id].append((event.version, event))
    assert max(map(len, lives.values())) > 3
    for life in lives.values():
        events = [event for _, event in sorted(life, key=lambda pair: pair[0])]
        assert events[0].type.endswith(".created")
        assert len({(event.org_id, event.aggregate_type) for event in events}) == 1
        for before, after in pairwise(events):
            assert not after.type.endswith(".created")
            if after.type.endswith(".approved"):
                assert before.data.status in {"pending", "approved"} or after.version > before.version + 1
            assert (after.data.bank_reference is None) == (after.data.payment_mode == "cash")


def test_a_redelivery_hashes_as_what_was_sent(day: list[Message]) -> None:
    known: set[bytes] = set()
    values: set[bytes | None] = set()
    verbatim = rewritten = 0
    for message in day:
        if message.kind == "duplicate":
            assert accepted(message).content_hash in known
            if message.value in values:
                verbatim += 1
            else:
                rewritten += 1
        elif not message.kind.startswith("poison."):
            known.add(accepted(message).content_hash)
            values.add(message.value)
    assert verbatim > 100
    assert rewritten > 100


def test_the_day_is_sent_in_order_and_peaks_where_hotels_do() -> None:
    plan = Plan(DAY, events=24_000)
    instants = list(timeline(plan))
    start = midnight_ms(DAY)
    assert len(instants) == plan.events
    assert all(a <= b for a, b in pairwise(instants))
    assert start <= instants[0]
    assert instants[-1] < start + DAY_MS
    assert (start + OFFSET_MS) % DAY_MS == 0
    hours = Counter(local_hour(instant) for instant in instants)
    assert max(hours, key=lambda hour: hours[hour]) in {8, 9, 10, 11}
    assert hours[13] > hours[17]
    assert hours[20] > hours[17]
    assert hours[3] < hours[10] / 20


def test_memory_does_not_grow_with_the_day() -> None:
    stream = trading_day(Plan(DAY, events=400_000, orgs=200))
    held: list[int] = []
    tracemalloc.start()
    try:
        for _ in range(2):
            for _ in islice(stream, 30_000):
                pass
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    # After the first 30,000 everything bounded is full; the open transactions of as many more would be 10 MB.
    assert held[1] - held[0] < 1_000_000


def test_an_endless_stream_goes_on() -> None:
    plan = Plan(DAY, orgs=3)
    endless = messages(plan, (midnight_ms(DAY) + index for index in range(10**9)))
    assert len(list(islice(endless, 3_000))) == 3_000

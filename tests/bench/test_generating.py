"""A workload's messages are the same each time, are what their description says, and are all accepted."""

import json
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from bench.generating import Generator
from bench.workload import Workload, creations, mixed
from schemas.codec import Rules, judge
from schemas.records import Accepted, Origin

TODAY = date(2026, 3, 14)
MIXED = mixed(20_000, today=TODAY, orgs=500)
# In the afternoon at the properties: events of the whole day are within the rules all day long.
APPENDED_AT = datetime(2026, 3, 14, 10, tzinfo=UTC)
RULES = Rules(timedelta(days=3_660), timedelta(hours=24))


def made(workload: Workload) -> list[tuple[bytes, bytes]]:
    return list(Generator(workload).events())


def bodies(workload: Workload) -> list[dict[str, Any]]:
    return [json.loads(value) for _, value in made(workload)]


def day_of(body: dict[str, Any]) -> date:
    return datetime.fromisoformat(body["occurred_at"]).date()


def test_same_description_same_bytes() -> None:
    assert made(MIXED) == made(replace(MIXED))


@pytest.mark.parametrize("change", [{"seed": 2}, {"orgs": 501}, {"late_share": 0.1}])
def test_another_description_is_another_workload(change: dict[str, Any]) -> None:
    other = replace(MIXED, **change)
    assert other.id != MIXED.id
    assert made(other) != made(MIXED)


@pytest.mark.parametrize("workload", [MIXED, creations(2_000, today=TODAY)], ids=lambda workload: workload.name)
def test_every_message_keeps_the_rules(workload: Workload) -> None:
    for offset, (key, value) in enumerate(made(workload)):
        judged = judge(Origin("finance-events", 0, offset, APPENDED_AT, key, value, ()), RULES)
        assert isinstance(judged, Accepted), judged
        assert key == b"%d" % judged.event.org_id


def test_versions_follow_each_other_on_one_key() -> None:
    """So that every change is applied: the version after the last, behind it in the partition."""
    newest: Counter[int] = Counter()
    keys: dict[int, bytes] = {}
    for key, value in made(replace(MIXED, duplicate_share=0)):
        body = json.loads(value)
        newest[body["aggregate_id"]] += 1
        assert body["version"] == newest[body["aggregate_id"]]
        assert keys.setdefault(body["aggregate_id"], key) == key
    assert max(newest.values()) > 1


def test_duplicates_are_exact_and_as_many_as_said() -> None:
    sent = Counter(made(MIXED))
    repeated = sent.total() - len(sent)
    assert repeated / MIXED.events == pytest.approx(MIXED.duplicate_share, rel=0.4)


def test_shares_are_as_described() -> None:
    found = bodies(MIXED)
    kinds = Counter(body["type"].partition(".")[2] for body in found)
    assert kinds["created"] / len(found) == pytest.approx(MIXED.creations_share, abs=0.02)
    assert kinds.keys() == {"created", "updated", "approved", "rejected", "deleted"}
    late = [(TODAY - day_of(body)).days for body in found if body["version"] == 1]
    assert sum(days == 0 for days in late) / len(late) == pytest.approx(0.90, abs=0.02)
    assert sum(1 <= days <= 7 for days in late) / len(late) == pytest.approx(0.08, abs=0.02)
    assert sum(8 <= days <= 80 for days in late) / len(late) == pytest.approx(0.02, abs=0.01)


def test_some_changes_move_money_to_another_day_property_or_drawer() -> None:
    seen: dict[int, tuple[date, int, str]] = {}
    moved = Counter[str]()
    for body in bodies(replace(MIXED, duplicate_share=0)):
        place = (day_of(body), body["property_id"], body["data"]["payment_mode"])
        before = seen.get(body["aggregate_id"], place)
        moved.update(
            name for name, old, new in zip(("day", "property", "mode"), before, place, strict=True) if old != new
        )
        seen[body["aggregate_id"]] = place
    assert moved.keys() == {"day", "property", "mode"}


def test_only_the_latest_transactions_change() -> None:
    newest = 0
    changed = 0
    for body in bodies(replace(MIXED, open_transactions_max=50, duplicate_share=0)):
        if body["version"] == 1:
            newest = body["aggregate_id"]
        else:
            changed += 1
            assert newest - 50 < body["aggregate_id"] <= newest
    assert changed > 1_000


def test_zipf_makes_low_ranks_hot_and_zero_makes_all_alike() -> None:
    def share_of_the_first_fifty(exponent: float) -> float:
        keys = [int(key) for key, _ in made(replace(MIXED, zipf_exponent=exponent))]
        return sum(key <= 50 for key in keys) / len(keys)

    # Of 500 with exponent 0.8: the sum of k ** -0.8 up to 50, by that up to 500.
    assert share_of_the_first_fifty(0.8) == pytest.approx(0.51, abs=0.06)
    assert share_of_the_first_fifty(0.0) == pytest.approx(0.10, abs=0.02)


@pytest.mark.parametrize(("events", "orgs"), [(1_000_000, 100_000), (60_000, 6_000), (5, 1)])
def test_creations_are_as_dense_in_a_short_run_as_in_the_published_one(events: int, orgs: int) -> None:
    assert creations(events, today=TODAY).orgs == orgs
    assert creations(events, today=TODAY, orgs=77).orgs == 77


def test_creations_are_approved_today_and_have_ids_of_their_own() -> None:
    found = bodies(creations(3_000, today=TODAY))
    assert len({body["aggregate_id"] for body in found}) == len(found)
    assert {(day_of(body), body["version"], body["data"]["status"]) for body in found} == {(TODAY, 1, "approved")}


def test_history_books_the_days_before_as_densely_as_said() -> None:
    workload = replace(MIXED, orgs=20, properties_per_org=2, history_days=30, history_density=0.9)
    days = defaultdict(set)
    for _, value in Generator(workload).history():
        body = json.loads(value)
        days[body["property_id"]].add(day_of(body))
    assert len(days) == 40
    booked = [day for of_property in days.values() for day in of_property]
    assert len(booked) / (40 * 30) == pytest.approx(0.9, abs=0.04)
    assert min(booked) == TODAY - timedelta(days=30)
    assert max(booked) == TODAY - timedelta(days=1)


def test_history_and_events_share_no_ids() -> None:
    workload = replace(MIXED, orgs=20, history_days=5, history_density=1.0, creations_share=1.0, duplicate_share=0.0)
    generator = Generator(workload)
    ids = [json.loads(value)["aggregate_id"] for _, value in generator.history()]
    ids += [json.loads(value)["aggregate_id"] for _, value in islice(generator.events(), 1_000)]
    assert len(set(ids)) == len(ids)


def test_census_counts_what_was_made() -> None:
    generator = Generator(MIXED)
    messages = list(generator.events())
    census = generator.census()
    found = [json.loads(value) for _, value in messages]
    assert census.value_bytes == sum(len(value) for _, value in messages)
    assert census.messages == len(messages) == MIXED.events
    assert census.organisations == len({body["org_id"] for body in found})
    assert census.properties == len({body["property_id"] for body in found})
    assert census.property_days == len({(body["property_id"], day_of(body)) for body in found})
    assert census.transactions == len({body["aggregate_id"] for body in found})
    hottest = Counter(body["org_id"] for body in found).most_common(1)[0][1]
    assert census.hottest_org_share == pytest.approx(hottest / len(found))

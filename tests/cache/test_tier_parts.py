"""The plain parts of the tiers: lives, bytes, epochs, floors, tags, and which days are read at start."""

import asyncio
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge

from pipeline.cache.floors import Floors
from pipeline.cache.lifetimes import Lifetimes, may_be_active
from pipeline.cache.metrics import TierMetrics
from pipeline.cache.payload import CachedDay, decoded, encoded
from pipeline.cache.tags import tags_of_day, tags_of_range, tags_touched
from pipeline.cache.warming import days_to_warm, warm
from pipeline.errors import DatabaseUnavailable
from pipeline.settings_serving import CacheSettings
from pipeline.storage.values import Balance
from schemas.epochs import is_past
from schemas.updates import BalanceUpdate
from tests.cache.house import balance
from tests.support.clocks import HandClock
from tests.support.events import NOON, TODAY

YESTERDAY = TODAY - timedelta(days=1)
PAGE = Path(__file__).parents[2] / "docs" / "cache.md"


def update(property_id: int = 1, day: date = TODAY, version: int = 1, org_id: int = 7) -> BalanceUpdate:
    figures = (0, 0, 0, 0, 0, 0, None, 0, 0)
    return BalanceUpdate(org_id, property_id, day, "1-1", version, *figures, NOON, "event", None)


# --- lives ---


@pytest.mark.parametrize(
    ("day", "now", "active"),
    [
        (date(2026, 3, 10), datetime(2026, 3, 10, 12, tzinfo=UTC), True),
        (date(2026, 3, 11), datetime(2026, 3, 10, 12, tzinfo=UTC), True),
        (date(2026, 4, 30), datetime(2026, 3, 10, 12, tzinfo=UTC), True),
        (date(2026, 3, 9), datetime(2026, 3, 10, 11, 59, 59, tzinfo=UTC), True),  # in the zone furthest behind
        (date(2026, 3, 9), datetime(2026, 3, 10, 12, tzinfo=UTC), False),
    ],
)
def test_a_day_is_active_until_it_has_ended_everywhere(day: date, now: datetime, active: bool) -> None:
    assert may_be_active(day, now) == active
    assert Lifetimes(15, 120).of(day, now) == (15 if active else 120)


# --- bytes ---


@pytest.mark.parametrize("kept", [None, balance(4)])
def test_what_is_kept_comes_back_as_it_was(kept: Balance | None) -> None:
    day = CachedDay(1.5, kept)
    assert decoded(encoded(day)) == day
    assert day.version == (4 if kept else 0)


@pytest.mark.parametrize("payload", [b"", b"1", b"1:", b"2:" + encoded(CachedDay(1.5, None))[2:], b"1:\x92\x01"])
def test_bytes_of_another_schema_or_damaged_are_nothing(payload: bytes) -> None:
    assert decoded(payload) is None


# --- epochs ---


@pytest.mark.parametrize(
    ("epoch", "current", "past"),
    [
        ("7-1", "7-2", True),
        ("7-9", "7-10", True),
        ("7-2", "7-2", False),
        ("7-3", "7-2", False),
        ("8-1", "7-2", False),
        ("", "7-2", False),
        ("7-x", "7-2", False),
    ],
)
def test_an_earlier_timeline_of_the_same_system_is_past(epoch: str, current: str, past: bool) -> None:
    assert is_past(epoch, current) == past


# --- floors ---


def test_a_floor_never_sinks_and_belongs_to_its_epoch() -> None:
    floors = Floors(10, 150, HandClock())
    for version in (5, 3, 6, 2):
        floors.told("7-1", (1, 1, TODAY), version)
    assert floors.of("7-1", (1, 1, TODAY)) == 6
    assert floors.of("7-2", (1, 1, TODAY)) == 0
    assert not floors.doubtful("7-1", (2, 1, TODAY))


def test_a_floor_that_went_too_early_leaves_a_doubt_for_as_long_as_it_was_needed() -> None:
    clock = HandClock()
    floors = Floors(2, 150, clock)
    one, two, three = ((1, number, TODAY) for number in (1, 2, 3))
    floors.told("7-1", one, 5)
    clock.pass_seconds(100)
    floors.told("7-1", two, 1)
    floors.told("7-1", three, 1)
    assert (len(floors), floors.forgotten) == (2, 1)
    assert floors.doubtful("7-1", one)
    assert not floors.doubtful("7-1", two)
    floors.told("7-1", one, 3)  # an old one again: nothing tells that it was 5
    assert floors.doubtful("7-1", one)
    clock.pass_seconds(150)
    assert not floors.doubtful("7-1", one)


def test_a_floor_that_nobody_needs_any_more_goes_without_a_doubt() -> None:
    clock = HandClock()
    floors = Floors(1, 150, clock)
    floors.told("7-1", (1, 1, TODAY), 5)
    clock.pass_seconds(150)
    floors.told("7-1", (1, 2, TODAY), 5)
    assert floors.forgotten == 0
    assert not floors.doubtful("7-1", (1, 1, TODAY))


# --- tags ---


def test_the_tags_of_an_answer_and_what_an_update_touches() -> None:
    day = date(2026, 11, 29)
    assert tags_of_day(7, 9, day) == ("org-7", "org-7-property-9", "org-7-property-9-2026-11-29")
    assert tags_of_range(7, 9) == ("org-7", "org-7-property-9", "org-7-property-9-days")
    touched = set(tags_touched({(7, 9): [day]}))
    assert touched == {"org-7-property-9-days", "org-7-property-9-2026-11-29"}
    assert touched & set(tags_of_day(7, 9, day))
    assert touched & set(tags_of_range(7, 9))
    others = tags_of_day(7, 9, YESTERDAY) + tags_of_day(7, 10, day) + tags_of_day(8, 9, day) + tags_of_range(7, 10)
    assert not touched & set(others)


def test_many_changed_days_of_a_property_are_one_tag_that_every_answer_about_it_carries() -> None:
    days = [TODAY - timedelta(days=back) for back in range(21)]
    assert list(tags_touched({(7, 9): days})) == ["org-7-property-9"]
    assert len(list(tags_touched({(7, 9): days[1:], (8, 9): days[:1]}))) == 21 + 2
    assert "org-7-property-9" in tags_of_day(7, 9, TODAY) + tags_of_range(7, 9)


# --- warming ---


def test_the_newest_properties_are_warmed_with_the_day_in_which_they_are() -> None:
    newest_first = [
        update(1, YESTERDAY),  # late: past everywhere
        update(2, TODAY),
        update(1, TODAY),
        update(1, TODAY + timedelta(days=1)),
        update(3, TODAY),
        update(1, TODAY, org_id=8),
        update(2, TODAY + timedelta(days=1)),
    ]
    tomorrow = TODAY + timedelta(days=1)
    assert days_to_warm(newest_first, NOON, 3) == [(7, 2, tomorrow), (7, 1, tomorrow), (7, 3, TODAY)]
    assert days_to_warm(newest_first, NOON, 0) == []


class Reading:
    """What is asked for, and what becomes of it."""

    def __init__(self, error: Exception | None = None, seconds: float = 0) -> None:
        self.asked: list[int] = []
        self.error = error
        self.seconds = seconds

    async def of_day(self, org_id: int, property_id: int, day: date) -> None:  # noqa: ARG002
        self.asked.append(property_id)
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error


async def warmed(reading: Reading, settings: CacheSettings) -> tuple[int, TierMetrics]:
    metrics = TierMetrics()
    updates = [update(number) for number in range(1, 51)]
    return await warm(reading, updates, settings, HandClock(), metrics), metrics


async def test_warming_reads_so_many_properties_the_newest_first() -> None:
    reading = Reading()
    read, metrics = await warmed(reading, CacheSettings(warm_properties_max=20))
    assert read == 20
    assert sorted(reading.asked) == list(range(1, 21))
    assert metrics.registry.get_sample_value("folio_cache_warmed_total", {"result": "read"}) == 20


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), RuntimeError("a fault of ours")])
async def test_warming_fails_no_start_and_does_not_insist(error: Exception) -> None:
    reading = Reading(error)
    assert (await warmed(reading, CacheSettings()))[0] == 0
    assert len(reading.asked) <= 4


async def test_warming_ends_in_time() -> None:
    reading = Reading(seconds=60)
    assert (await warmed(reading, CacheSettings(warm_seconds=0.05)))[0] == 0
    assert len(reading.asked) == 4


# --- metrics ---


def test_the_page_tells_of_every_metric_what_the_code_says() -> None:
    families = [metric for metric in vars(TierMetrics()).values() if isinstance(metric, Counter | Gauge)]
    assert len(families) == len(list(TierMetrics().registry.collect()))
    rows = [
        f"| `{metric._name}` | {metric._type} | {', '.join(f'`{label}`' for label in metric._labelnames)} "
        f"| {metric._documentation} |"
        for metric in families
    ]
    page = PAGE.read_text(encoding="utf-8")
    assert [line for line in page.splitlines() if line.startswith("| `folio_cache_")] == rows
    assert {label for metric in families for label in metric._labelnames} <= {"tier", "reason", "result"}
    assert all(re.fullmatch(r"[A-Z].{10,}\.", metric._documentation) for metric in families)


def test_the_hit_rate_is_the_part_that_the_database_did_not_answer() -> None:
    metrics = TierMetrics()
    assert metrics.registry.get_sample_value("folio_cache_hit_rate") == 0
    for tier, answers in (("l1", 80), ("redis", 10), ("database", 10)):
        metrics.answers.labels(tier).inc(answers)
    assert metrics.registry.get_sample_value("folio_cache_hit_rate") == pytest.approx(0.9)

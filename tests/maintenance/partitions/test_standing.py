"""When the months are well, and what is said when they are not; the metrics, and the plan for another modulus."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.errors import SettingsRefused
from pipeline.maintenance.partitions.gauges import gauges
from pipeline.maintenance.partitions.modulus import needs, plan_modulus
from pipeline.maintenance.partitions.standing import Standing, standings
from pipeline.maintenance.partitions.state import EVENTS, HASHED, MONTHLY, REVENUES, DefaultMonth, State
from pipeline.months import start_of
from tests.maintenance.partitions.test_planning import KEEPING, MARCH, NOW, month, months_around, state


def revenues(found: State, now: datetime = NOW) -> Standing:
    return next(each for each in standings(found, now, KEEPING) if each.table == REVENUES)


def test_all_is_well_with_three_months_ahead() -> None:
    for each in standings(state(months_around()), NOW, KEEPING):
        assert list(each.problems) == []
        assert (each.months_ahead, each.default_rows, each.cleanup_lag_months) == (3, 0, 0)
        assert each.runway_days == (start_of(date(2026, 7, 1)) - NOW) / timedelta(days=1)


def test_a_gap_ends_the_runway() -> None:
    gap = [each for each in months_around() if each.month != date(2026, 5, 1)]
    assert revenues(state(gap)).months_ahead == 1
    assert list(revenues(state(gap)).problems) == []


@pytest.mark.parametrize(
    ("missing", "said", "days"),
    [(date(2026, 4, 1), "the next month is missing", 21.5), (MARCH, "the present month is missing", 0)],
)
def test_a_month_that_is_missed_is_said(missing: date, said: str, days: float) -> None:
    found = revenues(state([each for each in months_around() if each.month != missing]))
    assert [said in problem for problem in found.problems] == [True]
    assert found.runway_days == days


def test_rows_in_the_default_partition_are_said() -> None:
    in_default = (DefaultMonth(REVENUES, MARCH, 4), DefaultMonth(REVENUES, date(2031, 1, 1), 1))
    found = revenues(state(months_around(), default_months=in_default))
    assert list(found.problems) == [
        "finance.revenues_partitioned: 5 rows in the default partition; run `folio partitions apply`"
    ]


def test_one_month_past_retention_waits_for_the_clean_up_two_were_missed() -> None:
    one, two = month(REVENUES, date(2024, 2, 1)), month(REVENUES, date(2024, 1, 1))
    found = revenues(state([*months_around(), one]))
    assert (found.cleanup_lag_months, list(found.problems)) == (1, [])
    found = revenues(state([*months_around(), one, two]))
    assert found.cleanup_lag_months == 2
    assert ["2 months past retention" in problem for problem in found.problems] == [True]


def test_the_metrics_say_what_was_found() -> None:
    found = state([*months_around(), month(REVENUES, date(2024, 2, 1), rows=11)])
    registry = gauges(found, standings(found, NOW, KEEPING))
    labels = {"table": REVENUES, "partition": "revenues_2024_02"}
    assert registry.get_sample_value("folio_partition_rows", labels) == 11
    assert registry.get_sample_value("folio_partition_bytes", labels) == 8_192
    assert registry.get_sample_value("folio_partition_cleanup_lag_months", {"table": REVENUES}) == 1
    assert registry.get_sample_value("folio_partition_default_rows", {"table": EVENTS}) == 0
    for table in MONTHLY:
        days = registry.get_sample_value("folio_partition_runway_days", {"table": table})
        assert days == (datetime(2026, 7, 1, tzinfo=UTC) - NOW) / timedelta(days=1)


def test_the_page_tells_of_every_metric_what_the_code_says() -> None:
    found = state(months_around())
    rows = []
    for metric in gauges(found, standings(found, NOW, KEEPING)).collect():
        labels = ", ".join(f"`{label}`" for label in metric.samples[0].labels)
        rows.append(f"| `{metric.name}` | {metric.type} | {labels} | {metric.documentation} |")
    page = (Path(__file__).resolve().parents[3] / "docs" / "observability.md").read_text(encoding="utf-8")
    assert [line for line in page.splitlines() if line.startswith("| `folio_partition_")] == rows


def test_a_doubled_modulus_splits_each_partition_by_itself() -> None:
    splits = plan_modulus(state(), 32)
    assert len(splits) == 16 * len(HASHED)
    assert {(split.remainder, split.into) for split in splits} == {(rest, (rest, rest + 16)) for rest in range(16)}
    assert plan_modulus(state(), 64)[3].into == (3, 19, 35, 51)
    assert plan_modulus(state(), 16) == []
    assert needs([]) == ["nothing: the tables have that many partitions"]


@pytest.mark.parametrize("target", [0, 8, 17, 24, 48, 2048])
def test_any_other_modulus_is_refused(target: int) -> None:
    with pytest.raises(SettingsRefused, match=f"--modulus {target}: 16 doubled"):
        plan_modulus(state(), target)

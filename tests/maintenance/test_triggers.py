"""Triggers: those that the migrations make are the ones that are expected, and one that is off is told."""

from pathlib import Path

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from pipeline.maintenance.triggers import EXPECTED, judged, read_triggers, trigger_gauges

TABLE, NAME, FUNCTION = EXPECTED[0]


async def test_what_is_expected_is_what_the_migrations_make(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        found = await read_triggers(connection)
    finally:
        await connection.close()
    assert [(each.table, each.name, each.function) for each in found] == sorted(EXPECTED)
    assert all(each.expected and each.present and each.enabled and each.problem is None for each in found)


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ([(TABLE, NAME, FUNCTION, False)], "switched off"),
        ([], "is gone"),
        ([(TABLE, NAME, "ops.anything_else", True)], "is gone"),
    ],
)
def test_one_that_does_not_hold_its_promise_is_told(found: list[tuple[str, str, str, bool]], problem: str) -> None:
    others = [(*each, True) for each in EXPECTED[1:]]
    statuses = judged([*found, *others])
    assert [problem in (each.problem or "") for each in statuses if each.expected and each.table == TABLE] == [True]
    registry = CollectorRegistry()
    trigger_gauges(registry, statuses)
    values = [
        registry.get_sample_value("folio_trigger_healthy", {"table": table, "trigger": name})
        for table, name, _ in EXPECTED
    ]
    assert values == [0, *(1 for _ in others)]


def test_the_page_tells_of_the_metric_what_the_code_says() -> None:
    registry = CollectorRegistry()
    trigger_gauges(registry, judged([]))
    (metric,) = registry.collect()
    labels = ", ".join(f"`{label}`" for label in metric.samples[0].labels)
    page = (Path(__file__).resolve().parents[2] / "docs" / "observability.md").read_text(encoding="utf-8")
    assert f"| `{metric.name}` | {metric.type} | {labels} | {metric.documentation} |" in page.splitlines()

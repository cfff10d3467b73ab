"""A plan refuses what cannot be simulated, and says what it would accept."""

from datetime import date
from typing import Any

import pytest

from pipeline.errors import SettingsRefused
from pipeline.simulator.plan import Plan

DAY = date(2025, 11, 22)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("events", -1),
        ("orgs", 0),
        ("orgs", 10_000_001),
        ("id_base", -1),
        ("id_base", 2**63),
        ("duplicate_share", 1.5),
        ("late_share", -0.1),
        ("recent_share", float("nan")),
        ("poison_share", 0.9999),
        ("correction_share", 0.51),
        ("property_weights", ()),
        ("property_weights", (1, 1, 1, 1, 1, 1, 1)),
        ("property_weights", (0, 0)),
        ("property_weights", (5, -1)),
    ],
)
def test_what_is_out_of_range_is_named(field: str, value: Any) -> None:
    with pytest.raises(SettingsRefused, match=field.removesuffix("_share")):
        Plan(DAY, **{field: value})


def test_a_plan_of_nothing_is_fine() -> None:
    assert Plan(DAY, events=0, poison_share=1, duplicate_share=0).events == 0

"""Surrogate keys: by which tags an answer about a day can be purged, from the whole organisation to the one day."""

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import Final

from schemas.records import PropertyKey

# A late event may carry into every later day of a property, tens of thousands of them: one tag names them all. Below
# that, days are purged one by one, so that the others of a property stay where they are.
_DAYS_NAMED_MAX: Final = 20


def org_tag(org_id: int) -> str:
    return f"org-{org_id}"


def property_tag(org_id: int, property_id: int) -> str:
    return f"{org_tag(org_id)}-property-{property_id}"


def day_tag(org_id: int, property_id: int, day: date) -> str:
    return f"{property_tag(org_id, property_id)}-{day.isoformat()}"


def days_tag(org_id: int, property_id: int) -> str:
    """Of what rests on several days of a property, and may change with any of them."""
    return f"{property_tag(org_id, property_id)}-days"


def tags_of_day(org_id: int, property_id: int, day: date) -> tuple[str, str, str]:
    """What an answer about one day carries: purging any of them purges it. None needs escaping in a header."""
    return org_tag(org_id), property_tag(org_id, property_id), day_tag(org_id, property_id, day)


def tags_of_range(org_id: int, property_id: int) -> tuple[str, str, str]:
    """What an answer about several days of a property carries: a tag for each day would not fit into a header."""
    return org_tag(org_id), property_tag(org_id, property_id), days_tag(org_id, property_id)


def tags_touched(changed: Mapping[PropertyKey, Collection[date]]) -> Iterator[str]:
    """What is purged because days have changed: each of the days, and what rests on several days of its property.

    Other days of the property stay. Answers about a whole organisation are no surrogate's: with each update of a busy
    one nothing of it would stay.
    """
    for (org_id, property_id), days in changed.items():
        if len(days) > _DAYS_NAMED_MAX:
            yield property_tag(org_id, property_id)
            continue
        yield days_tag(org_id, property_id)
        for day in days:
            yield day_tag(org_id, property_id, day)

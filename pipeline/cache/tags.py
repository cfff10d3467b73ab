"""Surrogate keys: by which tags an answer about a day can be purged, from the whole organisation to the one day."""

from datetime import date

from schemas.updates import BalanceUpdate


def org_tag(org_id: int) -> str:
    return f"org-{org_id}"


def property_tag(org_id: int, property_id: int) -> str:
    return f"{org_tag(org_id)}-property-{property_id}"


def day_tag(org_id: int, property_id: int, day: date) -> str:
    return f"{property_tag(org_id, property_id)}-{day.isoformat()}"


def tags_of_day(org_id: int, property_id: int, day: date) -> tuple[str, str, str]:
    """What an answer about one day carries: purging any of them purges it. None needs escaping in a header."""
    return org_tag(org_id), property_tag(org_id, property_id), day_tag(org_id, property_id, day)


def tags_of_range(org_id: int, property_id: int) -> tuple[str, str]:
    """What an answer about several days of a property carries: a tag for each day would not fit into a header."""
    return org_tag(org_id), property_tag(org_id, property_id)


def tags_touched(update: BalanceUpdate) -> tuple[str, ...]:
    """What is purged because of an update: answers about the day itself.

    An answer about several days, or several properties, is purged by `property_tag` and `org_tag`: who serves such
    decides how often, for with each update of a busy organisation nothing of it would ever stay cached.
    """
    return (day_tag(update.org_id, update.property_id, update.balance_date),)

"""Calendar months in UTC, each named by its first day; and where retention begins, which writers and clean-up share."""

from datetime import UTC, date, datetime


def month_of(instant: datetime) -> date:
    """The month that an instant lies in."""
    return instant.astimezone(UTC).date().replace(day=1)


def months_after(month: date, count: int) -> date:
    """The month so many later; earlier where `count` is negative. Raises ValueError before year 1 and after 9999."""
    months = month.year * 12 + month.month - 1 + count
    return date(months // 12, months % 12 + 1, 1)


def start_of(month: date) -> datetime:
    """The first instant of a month."""
    return datetime(month.year, month.month, 1, tzinfo=UTC)


def retention_start(at: datetime, months: int) -> datetime:
    """The first instant of the oldest month that the transaction tables keep, seen from `at`.

    A writer sees it from a record's append time, so that an outcome depends on no clock of a worker's.
    """
    return start_of(months_after(month_of(at), -months))

"""Instants as whole microseconds since 2000-01-01T00:00Z: exact, and cheap to compare, to hash and to send.

A `datetime` costs a microsecond to subtract, to hash or to encode, and each event brings five instants. PostgreSQL
counts from 2000 too, so that a writer's connection passes instants on as they are:
https://www.postgresql.org/docs/current/datatype-datetime.html
"""

from datetime import UTC, datetime, timedelta
from typing import Final

Instant = int  # microseconds since 2000-01-01T00:00Z

_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# Microseconds that one adds to an instant to count from 1970, as others do.
UNIX_OFFSET: Final = (_EPOCH - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROSECOND


def instant_of(moment: datetime) -> Instant:
    """The moment, exactly: timestamp() would go through a float."""
    since = moment - _EPOCH
    # Dividing by a microsecond would say the same, and cost half as much again.
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def moment_of(instant: Instant) -> datetime:
    """The instant as a datetime in UTC. Raises OverflowError outside the years 1 to 9999."""
    return _EPOCH + instant * _MICROSECOND


def microseconds(span: timedelta) -> int:
    """How long it is, to compare with the difference of two instants."""
    return span // _MICROSECOND

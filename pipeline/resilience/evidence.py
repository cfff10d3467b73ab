"""What the end of a call says about the part that was called: that it is away, that it is there, or nothing.

The errors that are listed stand for all below them in the tree, up to the next one that is listed.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from pipeline.errors import (
    BatchTooSlow,
    BrokerUnavailable,
    CacheUnavailable,
    CdnUnavailable,
    DatabaseUnavailable,
    FenceLost,
    NotAsked,
    OutcomeUnknown,
    Overloaded,
    Permanent,
    PoolExhausted,
    Stalled,
)


class Evidence(StrEnum):
    """What a call that has ended says about its part."""

    ANSWERED = "answered"
    AWAY = "away"
    NONE = "none"


# A caller's mistake is an answer like any other: the part had to be there to refuse it. What is not listed, such as a
# cancellation or a mistake in our own code, says nothing: most of all, the impatience of a caller does not.
SAYS: Final[Mapping[type[BaseException], Evidence]] = {
    DatabaseUnavailable: Evidence.AWAY,
    BrokerUnavailable: Evidence.AWAY,
    CacheUnavailable: Evidence.AWAY,
    CdnUnavailable: Evidence.AWAY,
    OutcomeUnknown: Evidence.AWAY,
    TimeoutError: Evidence.AWAY,
    ConnectionError: Evidence.AWAY,
    FenceLost: Evidence.ANSWERED,
    Permanent: Evidence.ANSWERED,
    # Bounds of ours struck: too large a batch, too many readers. The part may be well, and may be slow.
    BatchTooSlow: Evidence.NONE,
    PoolExhausted: Evidence.NONE,
    Stalled: Evidence.NONE,
    NotAsked: Evidence.NONE,
    Overloaded: Evidence.NONE,
}
# SQLSTATE classes of a server that is there: a deadlock or a failed serialisation, a lock that was not to be had.
# Five writers that meet on one key must not look like a database that is away.
_CONFLICTS: Final = ("40", "55")


def evidence(error: BaseException) -> Evidence:
    """What an exception says about the part that the call was for."""
    said = next((SAYS[kind] for kind in type(error).__mro__ if kind in SAYS), Evidence.NONE)
    if said is Evidence.AWAY and _sqlstate(error).startswith(_CONFLICTS):
        return Evidence.ANSWERED
    return said


def worth_another_try(error: BaseException) -> bool:
    """Whether the same call may be made again: the part was away, and what it has done is no riddle.

    After OutcomeUnknown only the caller knows how to find out; a call made blindly could do the work twice.
    """
    return evidence(error) is Evidence.AWAY and not isinstance(error, OutcomeUnknown)


def _sqlstate(error: BaseException) -> str:
    """What PostgreSQL called it, of the driver's exception that ours was made from; else nothing."""
    return str(getattr(error.__cause__, "sqlstate", None) or "")

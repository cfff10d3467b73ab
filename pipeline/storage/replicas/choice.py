"""Which servers may answer a read: decided by values, without a server or a clock."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pipeline.storage.intent import Intent, ReadYourWrites, Write

# Then the primary is asked: a read that fails everywhere must fail soon, and a second replica seldom has the trouble of
# the first one.
REPLICAS_ASKED_MAX: Final = 2
# A look is as old as its question, and the primary's clock is read on the way: so much apart is no step of that clock.
_ANSWER_SECONDS: Final = 0.5


class Condition(StrEnum):
    """What a server is good for."""

    WELL = "well"
    LATE = "late"  # still used: its lag is worth a warning
    TOO_LATE = "too late"
    STRANGE = "another history"  # of another cluster or timeline than the primary's, or no standby at all
    SILENT = "silent"
    UNKNOWN = "unknown"  # not asked yet, or there is no primary to compare it with


_USABLE: Final = frozenset({Condition.WELL, Condition.LATE})


@dataclass(frozen=True, slots=True)
class Position:
    """Where a server stands, as it said itself. `lsn` is bytes of WAL: written by a primary, replayed by a standby.

    `clock` is what its clock said (seconds since 1970). `replayed_at` is when the newest transaction that a standby has
    replayed was committed, by the clock of the primary that did; None where there was none, or nobody asked.
    """

    epoch: str
    in_recovery: bool
    lsn: int
    clock: float | None = None
    replayed_at: float | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """The primary had written up to `lsn` at `at` (monotonic seconds), when its own clock said `clock`."""

    at: float
    lsn: int
    clock: float | None = None


@dataclass(frozen=True, slots=True)
class Primary:
    """What is known of the primary: its history, and how far it was, the oldest first."""

    epoch: str
    written: Sequence[Written]


@dataclass(frozen=True, slots=True)
class LagBounds:
    """Seconds of lag from which a replica is warned of, and from which it is not used."""

    warn_seconds: float
    critical_seconds: float


@dataclass(frozen=True, slots=True)
class Health:
    """What was found of one server; what is not known is None."""

    condition: Condition = Condition.UNKNOWN
    epoch: str | None = None
    lag_bytes: int | None = None
    lag_seconds: float | None = None
    detail: str = field(default="", compare=False)

    @property
    def usable(self) -> bool:
        return self.condition in _USABLE


def lag_seconds(position: Position, written: Sequence[Written], now: float) -> float:
    """How old what a standby shows may be: an upper bound, in seconds.

    Nothing is missing when it has what the primary had written when last asked; an idle primary makes no lag. Else it
    has at least what was written by the newest look that it has passed, and at least the transaction it replayed last:
    whichever is newer. The first knows nothing of clocks, the second nothing of the pause before a write.
    """
    if written and position.lsn >= written[-1].lsn:
        return 0.0
    passed = max((each.at for each in written if each.lsn <= position.lsn), default=-float("inf"))
    by_commit = _seconds_since_commit(position, written, now)
    return now - passed if by_commit is None else min(now - passed, by_commit)


def _seconds_since_commit(position: Position, written: Sequence[Written], now: float) -> float | None:
    """The age of what a standby replayed last, by the primary's clock alone; None where it is not known.

    The standby's own clock has no part in it: one that runs slow would hide its lag. The primary's may have been set
    back since the commit. Then the age is less than that of the oldest look whose position the standby lacks, which
    cannot be, and it says nothing: least of all that there is no lag.
    """
    if not written or written[-1].clock is None or position.replayed_at is None:
        return None
    age = written[-1].clock - position.replayed_at + (now - written[-1].at)
    least = now - min(each.at for each in written if each.lsn > position.lsn)
    return max(age, least) if age >= least - _ANSWER_SECONDS else None


def judge(position: Position, primary: Primary | None, bounds: LagBounds, now: float) -> Health:
    """What a replica is good for."""
    if primary is None:
        return Health(Condition.UNKNOWN, position.epoch, detail="the primary has not answered yet")
    if not position.in_recovery:
        return Health(Condition.STRANGE, position.epoch, detail="it is no standby")
    if position.epoch != primary.epoch:
        detail = f"its history is {position.epoch}, the primary's {primary.epoch}"
        return Health(Condition.STRANGE, position.epoch, detail=detail)
    lag_bytes = max(0, primary.written[-1].lsn - position.lsn)
    seconds = lag_seconds(position, primary.written, now)
    return Health(_by_lag(seconds, bounds), position.epoch, lag_bytes, seconds)


def _by_lag(seconds: float, bounds: LagBounds) -> Condition:
    if seconds >= bounds.critical_seconds:
        return Condition.TOO_LATE
    return Condition.LATE if seconds >= bounds.warn_seconds else Condition.WELL


def choose(replicas: Sequence[Health], intent: Intent, turn: int) -> tuple[int, ...]:
    """The replicas to ask, by their place, in order; after them, or where there is none, comes the primary."""
    if isinstance(intent, Write):
        return ()
    fitting = [place for place, health in enumerate(replicas) if health.usable and _of_its_history(health, intent)]
    if not fitting:
        return ()
    first = turn % len(fitting)
    return (*fitting[first:], *fitting[:first])[:REPLICAS_ASKED_MAX]


def has(position: Position, intent: Intent) -> bool:
    """Whether a standby, where it stands now, has what a read must see."""
    if not isinstance(intent, ReadYourWrites):
        return True
    return position.lsn >= intent.lsn and intent.epoch == position.epoch


def _of_its_history(health: Health, intent: Intent) -> bool:
    return not isinstance(intent, ReadYourWrites) or intent.epoch == health.epoch

"""Which ends of a call say that a part is away: the table, and what holds for all of the error tree."""

import asyncio

import pytest

from pipeline import errors
from pipeline.errors import (
    BatchRejected,
    BatchTooSlow,
    BrokerUnavailable,
    BulkheadFull,
    CacheUnavailable,
    CdnUnavailable,
    CircuitOpen,
    DatabaseUnavailable,
    FenceLost,
    OutcomeUnknown,
    PoolExhausted,
    Transient,
)
from pipeline.resilience.evidence import SAYS, Evidence, evidence, worth_another_try


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DatabaseUnavailable("gone"), Evidence.AWAY),
        (CacheUnavailable("gone"), Evidence.AWAY),
        (BrokerUnavailable("gone"), Evidence.AWAY),
        (CdnUnavailable("gone"), Evidence.AWAY),
        (OutcomeUnknown("COMMIT was sent"), Evidence.AWAY),
        (TimeoutError(), Evidence.AWAY),
        (ConnectionResetError(), Evidence.AWAY),
        (BatchRejected("not a number"), Evidence.ANSWERED),
        (FenceLost("lane 3"), Evidence.ANSWERED),
        (BatchTooSlow("30 s"), Evidence.NONE),
        (PoolExhausted("50 in use"), Evidence.NONE),
        (CircuitOpen("redis"), Evidence.NONE),
        (BulkheadFull("redis"), Evidence.NONE),
        (FileNotFoundError(), Evidence.NONE),
        (ValueError("a mistake of ours"), Evidence.NONE),
        (asyncio.CancelledError(), Evidence.NONE),
        (KeyboardInterrupt(), Evidence.NONE),
        (GeneratorExit(), Evidence.NONE),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_an_end_says(error: BaseException, said: Evidence) -> None:
    assert evidence(error) is said


def test_every_transient_error_is_judged() -> None:
    """One that nobody thought of would never open a circuit."""
    ours = [kind for kind in Transient.__subclasses__() if kind.__module__ == errors.__name__]
    assert [kind.__name__ for kind in ours if kind not in SAYS] == []


class Refused(Exception):
    """As the driver raises it."""

    def __init__(self, sqlstate: str | None) -> None:
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "said"),
    [
        ("40P01", Evidence.ANSWERED),  # deadlock
        ("40001", Evidence.ANSWERED),  # serialisation failure
        ("55P03", Evidence.ANSWERED),  # lock not available
        ("57P01", Evidence.AWAY),  # shutting down
        ("53300", Evidence.AWAY),  # too many connections
        (None, Evidence.AWAY),
    ],
)
def test_a_database_that_tells_of_a_conflict_is_there(sqlstate: str | None, said: Evidence) -> None:
    error = DatabaseUnavailable("committing a batch")
    error.__cause__ = Refused(sqlstate)
    assert evidence(error) is said
    assert worth_another_try(error) is (said is Evidence.AWAY)


def test_only_a_part_that_was_away_is_tried_again_and_no_riddle_is() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    again = {kind.__name__ for kind in kinds if worth_another_try(kind("x"))}
    assert again == {"DatabaseUnavailable", "CacheUnavailable", "CdnUnavailable", "BrokerUnavailable"}

"""Driver exceptions become ours here, where they enter; for the cache's, see `pipeline.cache.errors`."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from aiokafka.errors import KafkaError
from asyncpg import exceptions as pg

from pipeline.errors import (
    BatchRejected,
    BatchTooSlow,
    BrokerUnavailable,
    DatabaseUnavailable,
    PipelineError,
    SchemaMismatch,
    SettingsRefused,
)

# The statement was stopped by one of our own bounds: a smaller batch may fit.
_TOO_SLOW = (pg.QueryCanceledError, pg.TransactionTimeoutError, pg.IdleInTransactionSessionTimeoutError)
# What the driver or the server may raise for a statement. Whatever is not named in _DATABASE_ERRORS passes by itself:
# cut off, refused, shutting down, deadlock, lock timeout, disk full, a plan that a migration made stale.
_OF_THE_DATABASE = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    pg.InternalClientError,
    OSError,
    TimeoutError,
    OverflowError,
    asyncio.IncompleteReadError,
)
_DATABASE_ERRORS: tuple[tuple[tuple[type[BaseException], ...], type[PipelineError], str], ...] = (
    (_TOO_SLOW, BatchTooSlow, ""),
    # SQLSTATE classes 22, 23 and 54, and what the driver itself refuses to encode: the data is at fault.
    ((pg.DataError, pg.IntegrityConstraintViolationError, pg.ProgramLimitExceededError), BatchRejected, ""),
    ((OverflowError, ValueError), BatchRejected, ""),
    (
        (pg.InvalidAuthorizationSpecificationError,),
        SettingsRefused,
        "; PostgreSQL refuses the login of FOLIO_DATABASE_URL",
    ),
    ((pg.InvalidCatalogNameError,), SettingsRefused, "; the database of FOLIO_DATABASE_URL does not exist"),
    ((pg.SyntaxOrAccessError,), SchemaMismatch, "; run `folio migrate`, or grant folio_writer to the login"),
)


# What uvloop says to who writes to a connection that was closed a moment ago: a RuntimeError, where asyncio raises an
# OSError, which is what drivers expect.
_CLOSED = "the handler is closed"


@contextmanager
def lost_answers() -> Iterator[None]:
    """Raises an OSError for what is an answer that did not come, and is not told as one by clients and event loop.

    uvloop's RuntimeError over a connection that is gone becomes ConnectionResetError. A cancellation that nobody asked
    for, of a client's own task or future, becomes ConnectionAbortedError: a task that took it for its own would end
    without a word, and whoever waits for it would wait for ever.
    """
    try:
        yield
    except RuntimeError as error:
        if _CLOSED not in str(error):
            raise
        raise ConnectionResetError(str(error)) from error
    except asyncio.CancelledError as error:
        if _asked_to_end():
            raise
        raise ConnectionAbortedError("the client cancelled it") from error


def _asked_to_end() -> bool:
    """Whether somebody has cancelled the task that we are in."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


@contextmanager
def database_errors(doing: str) -> Iterator[None]:
    """Raises ours for what asyncpg raises inside: DatabaseUnavailable, BatchTooSlow, BatchRejected, or a Fatal."""
    try:
        with lost_answers():
            yield
    except _OF_THE_DATABASE as error:
        raise _database_error(doing, error) from error


def _database_error(doing: str, error: BaseException) -> PipelineError:
    if isinstance(error.__cause__, _TOO_SLOW):  # the server closed the connection over it, and that came first
        return BatchTooSlow(f"{doing}: {error.__cause__}")
    if isinstance(error, pg.CheckViolationError) and not error.constraint_name:
        # A check without a name is the bound of a partition: another one was attached while the statement waited.
        # Without its detail, in which the server repeats the row: this one is logged.
        return DatabaseUnavailable(f"{doing}: {error.args[0]}; the partitions have changed meanwhile")
    for kinds, ours, advice in _DATABASE_ERRORS:
        if isinstance(error, kinds):
            return ours(f"{doing}: {error}{advice}")
    return DatabaseUnavailable(f"{doing}: {type(error).__name__}: {error}")


@contextmanager
def broker_errors(doing: str) -> Iterator[None]:
    """Raises BrokerUnavailable for what aiokafka raises inside."""
    try:
        with lost_answers():
            yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerUnavailable(f"{doing}: {type(error).__name__}: {error}") from error


def heed_cancellation() -> None:
    """Raises CancelledError where somebody has cancelled the task, whatever came of what it waited for.

    A client may have lost it: redis-py sends by asyncio.wait_for, which in Python 3.11 loses a cancellation that comes
    at the moment in which the sending is done. The task group around would wait for ever, deaf to any other one.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError

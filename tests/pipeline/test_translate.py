"""Drivers' errors become ours, grouped by what the caller does next; everything else passes untouched."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager

import asyncpg
import pytest
import uvloop
from aiokafka.errors import KafkaConnectionError, NotLeaderForPartitionError
from asyncpg import exceptions as pg
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from pipeline.cache.errors import cache_errors
from pipeline.errors import (
    BatchRejected,
    BatchTooSlow,
    BrokerUnavailable,
    CacheUnavailable,
    DatabaseUnavailable,
    Fatal,
    PipelineError,
    SchemaMismatch,
    SettingsRefused,
    Transient,
)
from pipeline.translate import broker_errors, database_errors

UNAVAILABLE = [
    (database_errors, DatabaseUnavailable),
    (broker_errors, BrokerUnavailable),
    (cache_errors, CacheUnavailable),
]


def cut_off_over(cause: Exception) -> Exception:
    """As asyncpg tells that the server closed the connection with a FATAL of its own."""
    error = pg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
    error.__cause__ = cause
    return error


def violated(check: str | None) -> Exception:
    error = pg.CheckViolationError("x")
    error.constraint_name = check
    return error


@pytest.mark.parametrize(
    ("raised", "ours"),
    [
        # our own bounds
        (pg.QueryCanceledError("x"), BatchTooSlow),
        (pg.TransactionTimeoutError("x"), BatchTooSlow),
        (pg.IdleInTransactionSessionTimeoutError("x"), BatchTooSlow),
        (cut_off_over(pg.TransactionTimeoutError("x")), BatchTooSlow),
        (cut_off_over(pg.IdleInTransactionSessionTimeoutError("x")), BatchTooSlow),
        # the data
        (pg.NumericValueOutOfRangeError("x"), BatchRejected),
        (pg.CharacterNotInRepertoireError("x"), BatchRejected),
        (violated("days_add_up"), BatchRejected),
        (pg.UniqueViolationError("x"), BatchRejected),
        (pg.NotNullViolationError("x"), BatchRejected),
        (OverflowError("value out of int64 range"), BatchRejected),
        (pg.StatementTooComplexError("x"), BatchRejected),
        # what passes
        (violated(None), DatabaseUnavailable),  # the bound of a partition: another was attached meanwhile
        (pg.InvalidCachedStatementError("x"), DatabaseUnavailable),
        (pg.InternalServerError("x"), DatabaseUnavailable),
        (pg.ConnectionDoesNotExistError("x"), DatabaseUnavailable),
        (pg.CannotConnectNowError("x"), DatabaseUnavailable),
        (pg.AdminShutdownError("x"), DatabaseUnavailable),
        (pg.CrashShutdownError("x"), DatabaseUnavailable),
        (pg.TooManyConnectionsError("x"), DatabaseUnavailable),
        (pg.DiskFullError("x"), DatabaseUnavailable),
        (pg.OutOfMemoryError("x"), DatabaseUnavailable),
        (pg.DeadlockDetectedError("x"), DatabaseUnavailable),
        (pg.SerializationError("x"), DatabaseUnavailable),
        (pg.LockNotAvailableError("x"), DatabaseUnavailable),
        (pg.ReadOnlySQLTransactionError("x"), DatabaseUnavailable),
        (asyncpg.InterfaceError("x"), DatabaseUnavailable),
        (pg.InternalClientError("x"), DatabaseUnavailable),
        (ConnectionRefusedError("x"), DatabaseUnavailable),
        (ConnectionResetError("x"), DatabaseUnavailable),
        (FileNotFoundError("no socket"), DatabaseUnavailable),
        (TimeoutError("x"), DatabaseUnavailable),
        (asyncio.IncompleteReadError(b"", 5), DatabaseUnavailable),
        # what an operator must mend
        (pg.InvalidPasswordError("x"), SettingsRefused),
        (pg.InvalidAuthorizationSpecificationError("x"), SettingsRefused),
        (pg.InvalidCatalogNameError("x"), SettingsRefused),
        (pg.UndefinedTableError("x"), SchemaMismatch),
        (pg.UndefinedColumnError("x"), SchemaMismatch),
        (pg.InsufficientPrivilegeError("x"), SchemaMismatch),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.__name__,
)
def test_errors_of_the_database(raised: Exception, ours: type[PipelineError]) -> None:
    with pytest.raises(PipelineError, match=r"^counting: ") as caught, database_errors("counting"):
        raise raised
    assert type(caught.value) is ours
    assert caught.value.__cause__ is raised


@pytest.mark.parametrize("raised", [KafkaConnectionError(), NotLeaderForPartitionError(), OSError(), TimeoutError()])
def test_errors_of_the_broker(raised: Exception) -> None:
    with pytest.raises(BrokerUnavailable, match=r"^fetching: ") as caught, broker_errors("fetching"):
        raise raised
    assert caught.value.__cause__ is raised


@pytest.mark.parametrize(
    "raised", [RedisConnectionError("x"), RedisTimeoutError("x"), BusyLoadingError("x"), OSError(), TimeoutError()]
)
async def test_errors_of_the_cache(raised: Exception) -> None:
    with pytest.raises(CacheUnavailable, match=r"^reading: ") as caught, cache_errors("reading"):
        raise raised
    assert caught.value.__cause__ is raised


@pytest.mark.parametrize("translating", [database_errors, broker_errors, cache_errors])
@pytest.mark.parametrize("raised", [KeyError("ours"), AssertionError(), ValueError(), KeyboardInterrupt()])
async def test_our_own_mistakes_pass_untouched(
    translating: Callable[[str], AbstractContextManager[None]], raised: BaseException
) -> None:
    with pytest.raises(type(raised)) as caught, translating("x"):
        raise raised
    assert caught.value is raised


@pytest.mark.parametrize(("translating", "ours"), UNAVAILABLE)
async def test_a_clients_own_cancellation_is_an_answer_that_did_not_come(
    translating: Callable[[str], AbstractContextManager[None]], ours: type[Transient]
) -> None:
    """A client lets out those of its tasks, when it is stopped in the middle of a fetch: it ended a worker."""
    gone = asyncio.get_running_loop().create_future()
    gone.cancel()
    with pytest.raises(ours, match=r"^asking: ConnectionAbortedError: the client cancelled it"), translating("asking"):
        await gone


@pytest.mark.parametrize(("translating", "_ours"), UNAVAILABLE)
async def test_a_cancellation_that_somebody_asked_for_passes(
    translating: Callable[[str], AbstractContextManager[None]], _ours: type[Transient]
) -> None:
    async def ask() -> None:
        with translating("asking"):
            await asyncio.sleep(60)

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_bound_on_time_passes_as_an_answer_that_did_not_come() -> None:
    with pytest.raises(BrokerUnavailable, match=r"^asking: TimeoutError"), broker_errors("asking"):
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)


def test_ours_inside_stay_as_they_are() -> None:
    for error in (BatchRejected("x"), SettingsRefused("x"), DatabaseUnavailable("x")):
        with pytest.raises(type(error)) as caught, database_errors("outer"):
            raise error
        assert caught.value is error


def test_the_groups_say_what_the_caller_does_next() -> None:
    assert issubclass(BatchTooSlow, Transient)
    assert not issubclass(BatchRejected, Transient | Fatal)
    assert issubclass(SchemaMismatch, Fatal)


@pytest.mark.parametrize("translating", [database_errors, broker_errors, cache_errors])
def test_a_write_to_a_connection_that_was_just_closed_is_tried_again(
    translating: Callable[[str], AbstractContextManager[None]],
) -> None:
    """Uvloop says so by a RuntimeError, which ended a worker whose cache was cut off at the wrong moment."""

    async def write() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.transport.abort()
            await asyncio.sleep(0.05)
            with translating("writing"):
                writer.writelines([b"too late"])

    with pytest.raises(Transient, match="the handler is closed"):
        uvloop.run(write())


def test_another_runtime_error_is_a_bug_and_passes() -> None:
    with pytest.raises(RuntimeError, match="a slip"), broker_errors("asking"):
        raise RuntimeError("a slip")

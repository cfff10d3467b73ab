"""Driver exceptions become ours here, where they enter; nothing else in the pipeline names a driver's error."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from aiokafka.errors import KafkaError
from asyncpg import exceptions as pg
from redis.exceptions import RedisError

from pipeline.errors import (
    BatchRejected,
    BatchTooSlow,
    BrokerUnavailable,
    CacheUnavailable,
    DatabaseUnavailable,
    SchemaMismatch,
    SettingsRefused,
)

# The statement was stopped by one of our own bounds: a smaller batch may fit.
_TOO_SLOW = (pg.QueryCanceledError, pg.TransactionTimeoutError, pg.IdleInTransactionSessionTimeoutError)
# SQLSTATE classes 22 and 23, and integers beyond 64 bits, which the driver refuses: the data is at fault.
_REJECTED = (pg.DataError, pg.IntegrityConstraintViolationError, OverflowError)
# Everything else that passes by itself: cut off, refused, shutting down, deadlock, lock timeout, disk full.
_UNAVAILABLE = (
    pg.PostgresConnectionError,
    pg.OperatorInterventionError,
    pg.InsufficientResourcesError,
    pg.TransactionRollbackError,
    pg.ObjectNotInPrerequisiteStateError,
    pg.ReadOnlySQLTransactionError,
    pg.PostgresSystemError,
    pg.InternalClientError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
    asyncio.IncompleteReadError,
)


@contextmanager
def database_errors(doing: str) -> Iterator[None]:
    """Raises ours for what asyncpg raises inside: DatabaseUnavailable, BatchTooSlow, BatchRejected, or a Fatal."""
    try:
        yield
    except _TOO_SLOW as error:
        raise BatchTooSlow(f"{doing}: {error}") from error
    except _REJECTED as error:
        raise BatchRejected(f"{doing}: {error}") from error
    except pg.InvalidAuthorizationSpecificationError as error:
        raise SettingsRefused(f"{doing}: PostgreSQL refuses the login of FOLIO_DATABASE_URL: {error}") from error
    except pg.InvalidCatalogNameError as error:
        raise SettingsRefused(f"{doing}: the database of FOLIO_DATABASE_URL does not exist: {error}") from error
    except pg.SyntaxOrAccessError as error:
        raise SchemaMismatch(f"{doing}: {error}; run `folio migrate`, or grant folio_writer to the login") from error
    except _UNAVAILABLE as error:
        if isinstance(error, ValueError):  # the driver itself refused to encode a value
            raise BatchRejected(f"{doing}: {error}") from error
        if isinstance(error.__cause__, _TOO_SLOW):  # the server closed the connection over it, and that came first
            raise BatchTooSlow(f"{doing}: {error.__cause__}") from error
        raise DatabaseUnavailable(f"{doing}: {type(error).__name__}: {error}") from error


@contextmanager
def broker_errors(doing: str) -> Iterator[None]:
    """Raises BrokerUnavailable for what aiokafka raises inside."""
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerUnavailable(f"{doing}: {type(error).__name__}: {error}") from error


@contextmanager
def cache_errors(doing: str) -> Iterator[None]:
    """Raises CacheUnavailable for what redis raises inside."""
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise CacheUnavailable(f"{doing}: {type(error).__name__}: {error}") from error

"""The connections of a check, with an operator's rights: it reads the books, and writes what it found of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import asyncpg

import sql
from batchers.connection import Reach
from pipeline.clock import Clock
from pipeline.consistency.job import Means, require_alone
from pipeline.months import retention_start
from pipeline.rebuild.looking import Wanted
from pipeline.rebuild.scope import Part
from pipeline.retention import recorded_retention, require_same_retention
from pipeline.settings import Settings
from pipeline.storage.connect import briefly, connect_reader_of_much
from pipeline.storage.migrate import require_schema
from schemas.instants import instant_of

NAME: Final = "folio check"
_OPERATOR_ROLE: Final = "folio_operator"
# The worker asks a record's append time for the edge, and the broker's clock may have passed a month's end before ours.
_SLACK: Final = timedelta(days=1)
BOOKS: Final = frozenset({Part.SNAPSHOTS, Part.TRANSACTIONS})


@asynccontextmanager
async def means_of(settings: Settings, database_url: str, clock: Clock, reach: Reach) -> AsyncIterator[Means]:
    """Everything that a check works with, for as long as it lasts, and nobody else checks meanwhile.

    Raises SettingsRefused while somebody else does, and where the workers keep other months than the settings say;
    SchemaMismatch, DatabaseUnavailable.
    """
    async with (
        briefly(_connect(settings, database_url), "checking") as operator,
        briefly(_connect(settings, database_url), "checking") as reading,
    ):
        await require_schema(operator)
        await require_alone(operator)
        require_same_retention(settings.batch.retention_months, await recorded_retention(operator))
        edge = instant_of(retention_start(clock.now() + _SLACK, settings.batch.retention_months))
        # Where fewer months were kept before, and have left, nothing is missing that these have taken along.
        retained_from = max(edge, await reading.fetchval(sql.query("transactions_kept_since")))
        yield Means(operator, reading, Wanted(BOOKS, retained_from), settings.consistency, clock, reach)


async def _connect(settings: Settings, url: str) -> asyncpg.Connection:
    """Where the settings say that workers stay their login, so does the operator."""
    role = _OPERATOR_ROLE if settings.database.role is not None else None
    as_operator = settings.database.model_copy(update={"role": role})
    connection = await connect_reader_of_much(url, as_operator, NAME)
    # One plan for all slices would read them all: which one is meant must be known when it is made.
    helpers = settings.consistency.parallel_workers
    await connection.execute(
        f"SET plan_cache_mode = 'force_custom_plan'; SET max_parallel_workers_per_gather = {helpers}"
    )
    return connection

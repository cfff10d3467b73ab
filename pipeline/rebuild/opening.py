"""The connections of a rebuild, each with the rights and the bounds that its work takes."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import asyncpg

import sql
from batchers.connection import Reach, WritingConnection
from pipeline.clock import Clock
from pipeline.errors import TopicMismatch
from pipeline.months import retention_start
from pipeline.rebuild.job import EVENTS_A_SLICE, Hand, Means, require_alone
from pipeline.rebuild.looking import Wanted
from pipeline.rebuild.scope import Part
from pipeline.rebuild.steps import Steps
from pipeline.resilience.metrics import ResilienceMetrics
from pipeline.resilience.opening import Part as Guarded
from pipeline.resilience.opening import new_guard, of_worker
from pipeline.retention import recorded_retention, require_same_retention
from pipeline.settings import Settings
from pipeline.storage.connect import briefly, connect_reader_of_much, connect_worker, connect_writer
from pipeline.storage.migrate import require_schema
from schemas.instants import instant_of

NAME: Final = "folio rebuild"
# While the database sorts and writes for one slice, we fold another. More would only compete for our one core.
HANDS: Final = 2
_OPERATOR_ROLE: Final = "folio_operator"


@asynccontextmanager
async def means_of(
    settings: Settings,
    database_url: str,
    parts: Iterable[Part],
    clock: Clock,
    reach: Reach,
    *,
    dry_run: bool = False,
    events_a_slice: int = EVENTS_A_SLICE,
) -> AsyncIterator[Means]:
    """Everything that a rebuild works with, for as long as it lasts, and nobody else rebuilds meanwhile.

    Raises SettingsRefused while somebody else does, and where the workers keep other months than the settings say;
    SchemaMismatch, TopicMismatch, DatabaseUnavailable.
    """
    async with AsyncExitStack() as stack:
        operator = await stack.enter_async_context(briefly(_connect_operator(settings, database_url), NAME))
        await require_schema(operator)
        await require_alone(operator)
        require_same_retention(settings.batch.retention_months, await recorded_retention(operator))
        lane_count = await operator.fetchval(sql.query("count_lanes"))
        if not lane_count:
            raise TopicMismatch("the database has no lanes yet: there is nothing to rebuild before a worker has run")
        # Of both hands: what one of them finds away, the other one does not ask.
        database = new_guard(Guarded.POSTGRES, of_worker(settings.resilience), clock, ResilienceMetrics())
        hands = []
        epoch = ""
        for _ in range(HANDS):
            connecting = connect_reader_of_much(database_url, settings.database, NAME)
            reading = await stack.enter_async_context(briefly(connecting, NAME))
            epoch = epoch or await reading.fetchval(sql.query("cluster_epoch"))
            writing = WritingConnection(lambda: connect_writer(database_url, settings.database, NAME), epoch, reach)
            stack.callback(writing.discard)
            hands.append(Hand(reading, None if dry_run else Steps(writing, database, lane_count, clock, reach)))
        whole_store = await hands[0].reading.fetchval(sql.query("store_is_whole"))
        edge = instant_of(retention_start(clock.now(), settings.batch.retention_months))
        # Where fewer months were kept before, and have left, a rebuild does not bring back single rows of them.
        retained_from = max(edge, await hands[0].reading.fetchval(sql.query("transactions_kept_since")))
        wanted = Wanted(frozenset(parts), retained_from, whole_store)
        yield Means(operator, hands, wanted, epoch, reach, events_a_slice)


async def _connect_operator(settings: Settings, url: str) -> asyncpg.Connection:
    """With an operator's rights; where the settings say that workers stay their login, so does the operator."""
    role = _OPERATOR_ROLE if settings.database.role is not None else None
    return await connect_worker(url, settings.database.model_copy(update={"role": role}), NAME)

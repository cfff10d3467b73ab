"""What operators ask of the database itself, over connections that are opened for the one call and closed after it.

A server reads with the rights of a reader. Looking takes `folio_operator`, changing the months the owner of the tables:
neither is lent to what customers' requests run on.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import structlog

from pipeline.api.apart import apart
from pipeline.api.problems import InTheWay, NotDone, NotSetUp
from pipeline.cache.flights import Flights
from pipeline.clock import Clock
from pipeline.errors import ArchiveRefused, BatchTooSlow, DatabaseUnavailable, SchemaMismatch, SettingsRefused
from pipeline.maintenance.parity import LegacyTable, read_legacy
from pipeline.maintenance.partitions.locking import connect_maintainer, require_owner
from pipeline.maintenance.partitions.planning import Plan, Purpose
from pipeline.maintenance.partitions.running import Maintaining, StepDone, maintain, maintaining, planned
from pipeline.maintenance.partitions.state import State, read_state
from pipeline.maintenance.partitions.verifying import Counts, read_counted
from pipeline.maintenance.triggers import TriggerStatus, read_triggers
from pipeline.masking import masked
from pipeline.settings import DatabaseSettings, Settings
from pipeline.storage.connect import OVERSEER, briefly, connect_overseer
from pipeline.storage.migrate import require_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    import asyncpg

_NAME: Final = "folio serve"
# Of catalogs and default partitions, which are empty: whoever reads those for longer has found what he looks for.
_LOOK_SECONDS: Final = 10.0
_TO_LOOK: Final = (
    f"grant {OVERSEER} to the login of FOLIO_DATABASE_URL, or name a login that has it in "
    "FOLIO_API_OPERATOR_DATABASE_URL (docs/security.md)"
)
_TO_CHANGE: Final = (
    "name the owner of the tables, who runs `folio migrate`, in FOLIO_API_OWNER_DATABASE_URL, or leave it to "
    "`folio partitions apply` (docs/security.md)"
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Access:
    """By which logins, and within which bounds."""

    operator_url: str
    owner_url: str
    database: DatabaseSettings
    count_seconds_max: float


@dataclass(frozen=True, slots=True)
class Look:
    """What the catalogs say at one moment."""

    at: datetime
    state: State
    triggers: list[TriggerStatus]


@dataclass(frozen=True, slots=True)
class Count:
    """The same, and every row counted."""

    look: Look
    counts: Counts
    legacy: list[LegacyTable]


class Oversight:
    """Looks, counts, and has partitions maintained."""

    def __init__(self, access: Access, asked: Maintaining, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self.asked = asked
        self._counting: Flights[None, Count] = Flights(lambda: None)

    async def look(self) -> Look:
        """The partitions and the triggers, as they are now. Raises NotSetUp, DatabaseUnavailable."""
        async with self._overseeing(_LOOK_SECONDS) as connection:
            return Look(self._clock.now(), await read_state(connection), await read_triggers(connection))

    async def count(self) -> Count:
        """Every row of every partition. Whoever asks meanwhile gets the same: it reads all tables from end to end.

        Raises NotSetUp, DatabaseUnavailable, and NotDone after the bound.
        """
        return await self._counting.fetch(None, self._count)

    async def planned(self, purpose: Purpose | None) -> Plan:
        """What `maintain` would do. Raises as `look`."""
        with _told():
            return planned(self.asked, (await self.look()).state, purpose, self._clock)

    async def maintain(self, purpose: Purpose | None, who: str) -> list[StepDone]:
        """Do what is due. Raises InTheWay, NotSetUp and NotDone; what was done before stays done.

        Apart: an archive is compressed and read again, and customers go on meanwhile.
        """
        if not self.asked.enabled:
            raise InTheWay(
                "FOLIO_FLAGS_ENABLE_PARTITION_MAINTENANCE is off: partitions are not changed; a plan is made"
            )
        done = await apart(lambda: self._maintain(purpose, who))
        if done is None:
            raise InTheWay("another run is at work: nothing was done by this one")
        return done

    async def _count(self) -> Count:
        seconds = self._access.count_seconds_max
        try:
            async with self._overseeing(seconds) as connection:
                at = self._clock.now()
                state, counts = await read_counted(connection)
                look = Look(at, state, await read_triggers(connection))
                return Count(look, counts, await read_legacy(connection))
        except BatchTooSlow as error:
            raise NotDone(
                f"not counted within {seconds:g} s (FOLIO_API_COUNT_SECONDS_MAX): set it higher, or ask in a quiet hour"
            ) from error

    async def _maintain(self, purpose: Purpose | None, who: str) -> list[StepDone] | None:
        connecting = connect_maintainer(self._access.owner_url, self._access.database, f"{_NAME} partitions")
        try:
            with _told():
                async with AsyncExitStack() as opened:
                    with _told(_TO_CHANGE):
                        connection = await opened.enter_async_context(briefly(connecting, "maintaining the partitions"))
                        await require_owner(connection)
                    return await maintain(connection, self.asked, purpose, who, _log)
        except (DatabaseUnavailable, ArchiveRefused) as error:
            raise NotDone(masked(str(error))) from error

    @asynccontextmanager
    async def _overseeing(self, statement_seconds: float) -> "AsyncIterator[asyncpg.Connection]":
        access = self._access
        connecting = connect_overseer(access.operator_url, access.database, _NAME, statement_seconds)
        with _told():
            async with AsyncExitStack() as opened:
                with _told(_TO_LOOK):
                    connection = await opened.enter_async_context(briefly(connecting, "looking at the partitions"))
                await require_schema(connection)
                yield connection


def oversight(settings: Settings, database_url: str, clock: Clock) -> Oversight:
    """As the settings say; whose logins are not named works with the one that the server reads by."""
    api = settings.api
    operator_url, owner_url = (each or database_url for each in (api.operator_database_url, api.owner_database_url))
    access = Access(operator_url, owner_url, settings.database, api.count_seconds_max)
    return Oversight(access, maintaining(settings), clock)


@contextmanager
def _told(advice: str = "") -> "Iterator[None]":
    """What ends a command over its settings is, of a server, one answer; of a login, with what would give the right."""
    try:
        yield
    except (SettingsRefused, SchemaMismatch) as error:
        raise NotSetUp("; ".join(each for each in (masked(str(error)), advice) if each)) from error


def _log(done: StepDone) -> None:
    log.info("partitions maintained", step=done.step.words, rows=done.rows, seconds=done.seconds)

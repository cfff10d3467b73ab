"""What the database says of the stream: counters, positions, months, dead letters."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Generic, TypeVar

import asyncpg

import sql
from pipeline.api.overview.document import (
    Counted,
    DeadLetters,
    LaneFigures,
    LettersOfReason,
    NewestLetter,
    Runway,
)
from pipeline.api.overview.held import Held
from pipeline.clock import Clock
from pipeline.dead_letters.letters import Filters, histogram, newest
from pipeline.errors import SchemaMismatch, SettingsRefused
from pipeline.maintenance.partitions.planning import Keeping
from pipeline.maintenance.partitions.standing import standings
from pipeline.maintenance.partitions.state import read_state
from pipeline.pauses import open_pauses
from pipeline.settings import DatabaseSettings
from pipeline.status import OUTCOMES, LaneRows, lane_rows
from pipeline.storage.connect import connect
from pipeline.translate import database_errors

# Months come and go once in a month, letters seldom by the second: counting both each second would be for nobody.
_MONTHS_SECONDS: Final = 60.0
_LETTERS_SECONDS: Final = 5.0
_LETTERS_DAYS: Final = 7
_NEWEST: Final = 5
# An answer that takes longer is of no use to who asks each second.
_SECONDS_MAX: Final = 1.5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LanesRead:
    """The rows of the lanes, where they began by both feeds together, and when they were read."""

    at_seconds: float
    rows: LaneRows
    began: Mapping[int, int]
    paused_orgs: int

    @property
    def counted(self) -> Counted:
        """All lanes together."""
        outcomes = {name: sum(row[name] for row in self.rows.values()) for name in OUTCOMES}
        return Counted(
            read_at_seconds=self.at_seconds,
            consumed=sum(outcomes.values()),
            **outcomes,
            batches=sum(row["batches"] for row in self.rows.values()),
            unpublished_batches=sum(row["unpublished"] for row in self.rows.values()),
            uninvalidated_batches=sum(row["uninvalidated"] for row in self.rows.values()),
            paused_orgs=self.paused_orgs,
            lanes=[_lane(row) for row in self.rows.values()],
        )


def _lane(row: asyncpg.Record) -> LaneFigures:
    return LaneFigures(
        row["lane"],
        row["owner"],
        row["last_batch_rows"],
        row["stopped_reason"],
        row["paused_by"],
        row["pause_reason"],
    )


class _Kept(Generic[T]):
    """An answer that is good for some seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = float("-inf")
        self._value: T | None = None

    def get(self, now: float) -> T | None:
        return self._value if now < self._until else None

    def keep(self, value: T, now: float) -> T:
        self._value, self._until = value, now + self._seconds
        return value


class BooksLook:
    """Looks again and again as the login itself: it takes the rights of `folio_operator`, and uses none to write.

    Three connections: what takes long on one must not keep the others from their figures.
    """

    def __init__(self, url: str, settings: DatabaseSettings, keeping: Keeping, clock: Clock) -> None:
        async def new() -> asyncpg.Connection:
            with database_errors("connecting"):
                return await connect(url, settings, "folio serve, status")

        self._lanes, self._months, self._letters = (Held(new, _terminate) for _ in range(3))
        self._keeping = keeping
        self._clock = clock
        self._kept_months: _Kept[list[Runway]] = _Kept(_MONTHS_SECONDS)
        self._kept_letters: _Kept[DeadLetters] = _Kept(_LETTERS_SECONDS)

    async def lanes(self) -> LanesRead:
        """How the lanes stand."""
        with _rights():
            return await self._lanes.use(self._read_lanes, _SECONDS_MAX)

    async def months(self) -> list[Runway]:
        """How long the months last, as of the last minute."""
        kept = self._kept_months.get(self._clock.monotonic())
        if kept is not None:
            return kept
        with _rights():
            return await self._months.use(self._read_months, _SECONDS_MAX)

    async def letters(self) -> DeadLetters:
        """The dead letters of the last days, as of a few seconds ago."""
        kept = self._kept_letters.get(self._clock.monotonic())
        if kept is not None:
            return kept
        with _rights():
            return await self._letters.use(self._read_letters, _SECONDS_MAX)

    async def close(self) -> None:
        for each in (self._lanes, self._months, self._letters):
            await each.close()

    async def _read_lanes(self, connection: asyncpg.Connection) -> LanesRead:
        rows = await lane_rows(connection)
        with database_errors("reading where the lanes began"):
            began = await connection.fetch(sql.query("lanes_began"))
        paused = await open_pauses(connection)
        starts = {row["lane"]: row["finance_position"] + row["corrections_position"] for row in began}
        return LanesRead(self._clock.monotonic(), rows, starts, len(paused))

    async def _read_months(self, connection: asyncpg.Connection) -> list[Runway]:
        with database_errors("reading the partitions"):
            state = await read_state(connection)
        found = standings(state, self._clock.now(), self._keeping)
        runways = [Runway(each.table, each.runway_days, list(each.problems)) for each in found]
        return self._kept_months.keep(runways, self._clock.monotonic())

    async def _read_letters(self, connection: asyncpg.Connection) -> DeadLetters:
        counts = await histogram(connection, self._clock.now() - timedelta(days=_LETTERS_DAYS), None)
        letters = await newest(connection, Filters(), _NEWEST, None)
        by_reason: dict[str, LettersOfReason] = {}
        for each in counts:  # a line for each topic
            before = by_reason.get(each.reason)
            by_reason[each.reason] = LettersOfReason(
                each.reason,
                each.letters + (before.letters if before else 0),
                max(each.last_at, before.last_at) if before else each.last_at,
            )
        found = DeadLetters(
            _LETTERS_DAYS,
            sorted(by_reason.values(), key=lambda reason: (-reason.letters, reason.reason)),
            [NewestLetter(str(each.place), each.reason, each.recorded_at) for each in letters],
        )
        return self._kept_letters.keep(found, self._clock.monotonic())


@contextmanager
def _rights() -> Iterator[None]:
    """A server reads its tenants' books as `folio_reader`; to look at everything takes more, and it is said what."""
    try:
        yield
    except SchemaMismatch as error:
        if not isinstance(error.__cause__, asyncpg.InsufficientPrivilegeError):
            raise
        raise SettingsRefused(f"{error.__cause__}: grant folio_operator to the login of FOLIO_DATABASE_URL") from error


async def _terminate(connection: asyncpg.Connection) -> None:
    connection.terminate()

"""The dead letters in the database: newest first, one as a whole, counted by reason."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Self

import asyncpg

import sql
from pipeline.translate import database_errors
from schemas.dead_letters import stored_origin
from schemas.records import Origin
from schemas.topics import Feed

Bucket = Literal["hour", "day"]
# What the columns hold.
LANE_MAX: Final = (1 << 15) - 1
OFFSET_MAX: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where a letter's record stands; written and read as topic/lane/offset."""

    topic: str
    lane: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.lane}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError for what is no topic/lane/offset."""
        found = re.fullmatch(r"(.+)/([0-9]{1,5})/([0-9]{1,19})", text)
        if found is None or int(found[2]) > LANE_MAX or int(found[3]) > OFFSET_MAX:
            raise ValueError(f"{text!r} is not topic/lane/offset, such as finance-events/3/1042")
        return cls(found[1], int(found[2]), int(found[3]))


@dataclass(frozen=True, slots=True)
class Filters:
    """Which letters are meant; None means all. `topic` is its whole name, `since` counts from when it was recorded."""

    topic: str | None = None
    lane: int | None = None
    reasons: tuple[str, ...] | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """A letter without its bytes."""

    place: Place
    reason: str
    detail: str
    appended_at: datetime
    recorded_at: datetime
    value_bytes: int | None  # None where the record had no value
    redriven_at: datetime | None


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter with the record as it came."""

    origin: Origin
    reason: str

    @property
    def place(self) -> Place:
        return Place(self.origin.topic, self.origin.lane, self.origin.offset)


@dataclass(frozen=True, slots=True)
class Redriven:
    """That a letter was sent back; where its record stands now, where that is known."""

    at: datetime
    who: str
    lane: int | None
    offset: int | None


@dataclass(frozen=True, slots=True)
class WholeLetter:
    """A letter with everything that is known of it."""

    letter: Letter
    detail: str
    recorded_at: datetime
    redriven: Redriven | None


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How many letters of a topic have a reason; `bucket` is its first instant, where buckets were asked for."""

    bucket: datetime | None
    topic: str
    reason: str
    letters: int
    first_at: datetime
    last_at: datetime


def whole_topic(name: str, prefix: str) -> str:
    """A topic by its whole name; those that are consumed may be called by their names without the prefix."""
    return prefix + name if name in set(Feed) else name


async def newest(
    connection: asyncpg.Connection, filters: Filters, limit: int, after: Summary | WholeLetter | None
) -> list[Summary]:
    """The newest letters, or those that follow `after` in that order."""
    with database_errors("reading the dead letters"):
        rows = await connection.fetch(
            sql.query("list_dead_letters"),
            filters.since,
            *_key(after),
            filters.topic,
            filters.lane,
            filters.reasons,
            limit,
        )
    return [
        Summary(
            _place(row),
            row["reason"],
            row["detail"],
            row["appended_at"],
            row["recorded_at"],
            row["value_bytes"],
            row["redriven_at"],
        )
        for row in rows
    ]


def _key(after: Summary | WholeLetter | None) -> tuple[datetime | None, str | None, int | None, int | None]:
    if after is None:
        return None, None, None, None
    place = after.place if isinstance(after, Summary) else after.letter.place
    return after.recorded_at, place.topic, place.lane, place.offset


async def whole(connection: asyncpg.Connection, place: Place) -> WholeLetter | None:
    """The letter of a record; None where there is none."""
    with database_errors("reading a dead letter"):
        row = await connection.fetchrow(sql.query("read_dead_letter"), place.topic, place.lane, place.offset)
    if row is None:
        return None
    redriven = None
    if row["redriven_at"] is not None:
        redriven = Redriven(row["redriven_at"], row["redriven_by"], row["new_lane"], row["new_offset"])
    return WholeLetter(_letter(row), row["detail"], row["recorded_at"], redriven)


async def histogram(connection: asyncpg.Connection, since: datetime | None, bucket: Bucket | None) -> list[ReasonCount]:
    """The letters by reason and topic, the most frequent first; in buckets of UTC hours or days where asked for."""
    with database_errors("counting the dead letters"):
        rows = await connection.fetch(sql.query("count_dead_letters"), since, bucket)
    return [
        ReasonCount(row["bucket"], row["topic"], row["reason"], row["letters"], row["first_at"], row["last_at"])
        for row in rows
    ]


async def next_to_redrive(
    connection: asyncpg.Connection, filters: Filters, after: Place, rows_max: int, bytes_max: int
) -> list[Letter]:
    """The letters behind `after`, in the order of their topics, that were not redriven; the first whatever its size."""
    with database_errors("reading the dead letters"):
        rows = await connection.fetch(
            sql.query("letters_to_redrive"),
            after.topic,
            after.lane,
            after.offset,
            filters.topic,
            filters.reasons,
            filters.since,
            rows_max,
            bytes_max,
        )
    return [_letter(row) for row in rows]


async def remember_redriven(connection: asyncpg.Connection, who: str, sent: Sequence[tuple[Place, Place]]) -> None:
    """That letters were sent back: each with its old place and its new one."""
    if not sent:
        return
    with database_errors("remembering what was redriven"):
        await connection.execute(
            sql.query("append_redrives"),
            who,
            [old.topic for old, _ in sent],
            [old.lane for old, _ in sent],
            [old.offset for old, _ in sent],
            [new.lane for _, new in sent],
            [new.offset for _, new in sent],
        )


def _letter(row: asyncpg.Record) -> Letter:
    return Letter(stored_origin(row), row["reason"])


def _place(row: asyncpg.Record) -> Place:
    return Place(row["topic"], row["lane"], row["record_offset"])

"""Judging and writing properties: under the locks that the writers of the books take, a bounded number at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

import sql
from pipeline.errors import DatabaseUnavailable
from pipeline.properties.rules import Judgement, Standing, Verdict, judge, needs_history
from pipeline.settings import DatabaseSettings
from pipeline.storage.audit import audit as append_audit
from pipeline.storage.connect import connect_worker
from schemas.properties import BEGINNING, PropertyLine
from schemas.records import PropertyKey
from schemas.routing import home_lane

# About 0.15 s under the locks of every lane concerned: workers wait no longer than for each other's batches.
CHUNK_PROPERTIES: Final = 1_000
OPERATOR_ROLE: Final = "folio_operator"


@dataclass(frozen=True, slots=True)
class Audit:
    """Who loads what, for ops.operator_audit."""

    who: str
    detail: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a load: what is written for good, and what stopped it before its end."""

    written: int
    refused: Sequence[Judgement]


async def connect_operator(url: str, settings: DatabaseSettings) -> asyncpg.Connection:
    """A connection with an operator's rights, and with every bound of a worker's: it holds the same locks.

    Where the settings say that workers stay their login, so does the operator.
    """
    role = OPERATOR_ROLE if settings.role is not None else None
    return await connect_worker(url, settings.model_copy(update={"role": role}), "folio properties")


async def plan(connection: asyncpg.Connection, lines: Iterable[PropertyLine]) -> list[Judgement]:
    """Judge every property as the database stands now. Nothing is locked or written."""
    judgements: list[Judgement] = []
    for chunk in _chunks(lines):
        judgements += await _judge(connection, chunk)
    return judgements


async def load(connection: asyncpg.Connection, lines: Iterable[PropertyLine], audit: Audit) -> Loaded:
    """Write what differs, chunk after chunk, each in one transaction with the lanes of its organisations locked.

    Stops at the first chunk with a refusal: the books have moved on since the plan. Repeating it is safe at any time.
    """
    written = 0
    for chunk in _chunks(lines):
        async with connection.transaction():
            judgements = await _load_chunk(connection, chunk)
            refused = [judgement for judgement in judgements if judgement.verdict is Verdict.REFUSED]
            if refused:
                return Loaded(written, refused)
            changed = sum(judgement.writes for judgement in judgements)
            # With the first change, so that nothing is ever written that the audit does not know of.
            if changed and not written:
                await append_audit(connection, audit.who, "properties load", audit.detail)
        written += changed
    return Loaded(written, [])


async def _load_chunk(connection: asyncpg.Connection, chunk: Sequence[PropertyLine]) -> list[Judgement]:
    """Lock, judge, write unless something is refused."""
    lane_count: int = await connection.fetchval(sql.query("count_lanes"))
    homes = {home_lane(line.org_id, lane_count) for line in chunk} if lane_count else set()
    await connection.execute(sql.query("fence"), sorted(homes))
    judgements = await _judge(connection, chunk)
    if any(judgement.verdict is Verdict.REFUSED for judgement in judgements):
        return judgements
    await _write(connection, [judgement for judgement in judgements if judgement.writes], lane_count)
    # Lanes that were made meanwhile were not locked: what was judged may no longer hold.
    if await connection.fetchval(sql.query("count_lanes")) != lane_count:
        raise DatabaseUnavailable("lanes were added during the load, the chunk was rolled back; run it again")
    return judgements


async def _judge(connection: asyncpg.Connection, chunk: Sequence[PropertyLine]) -> list[Judgement]:
    standing = await _standing(connection, [line.key for line in chunk])
    orgs = {line.org_id for line in chunk if needs_history(line, standing.get(line.key))}
    booked: dict[PropertyKey, datetime] = {}
    if orgs:
        rows = await connection.fetch(sql.query("latest_booked"), sorted(orgs))
        booked = {(org_id, property_id): latest for org_id, property_id, latest in rows}
    return [judge(line, standing.get(line.key), booked.get(line.key)) for line in chunk]


async def _standing(connection: asyncpg.Connection, keys: Sequence[PropertyKey]) -> dict[PropertyKey, Standing]:
    rows = await connection.fetch(
        sql.query("standing_properties"), [org for org, _ in keys], [property_ for _, property_ in keys]
    )
    return {
        (row["org_id"], row["property_id"]): Standing(
            name=row["name"],
            currency=row["currency"],
            opening_cash_cents=row["opening_cash_cents"],
            self_registered=row["self_registered"],
            calendar=tuple(zip(row["valid_froms"], row["time_zones"], strict=True)),
            has_balances=row["has_balances"],
        )
        for row in rows
    }


async def _write(connection: asyncpg.Connection, changes: Sequence[Judgement], lane_count: int) -> None:
    homes = sorted({home_lane(change.key[0], lane_count) for change in changes}) if lane_count else []
    # Before the first lane there is no order to take a place in: such properties are known from the beginning.
    known_since = await connection.fetchval(sql.query("recording_instant"), homes) if homes else None
    new = [change for change in changes if change.verdict is Verdict.NEW]
    changed = [change for change in changes if change.verdict is Verdict.CHANGED]
    done = [
        await connection.execute(sql.query("load_properties"), *_columns(new), known_since),
        await connection.execute(sql.query("change_properties"), *_columns(changed)),
    ]
    if done != [f"INSERT 0 {len(new)}", f"UPDATE {len(changed)}"]:
        raise DatabaseUnavailable("properties registered themselves during the load; run it again")
    # The driver would write the first instant of its calendar as -infinity, and read that as one without zone.
    zones = [
        (*change.key, None if valid_from == BEGINNING else valid_from, zone)
        for change in changes
        for valid_from, zone in change.zones
    ]
    columns = [list(column) for column in zip(*zones, strict=True)] or [[], [], [], []]
    await connection.execute(sql.query("upsert_time_zones"), *columns)
    if homes:
        await connection.execute(sql.query("revise_properties"), homes, known_since)


def _columns(changes: Sequence[Judgement]) -> tuple[list[int], list[int], list[str | None], list[str], list[int]]:
    return (
        [change.key[0] for change in changes],
        [change.key[1] for change in changes],
        [change.name for change in changes],
        [change.currency for change in changes],
        [change.opening_cash_cents for change in changes],
    )


def _chunks(lines: Iterable[PropertyLine]) -> Iterator[list[PropertyLine]]:
    """In order of their keys, so that an organisation's properties share their transaction."""
    ordered = sorted(lines, key=lambda line: line.key)
    for start in range(0, len(ordered), CHUNK_PROPERTIES):
        yield ordered[start : start + CHUNK_PROPERTIES]

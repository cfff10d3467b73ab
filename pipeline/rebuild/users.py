"""What users are called: the newest name that a stored event gives each, in the order of recording.

That is the worker's rule: stale versions count as well, and an event that gives no name takes none away
(docs/decisions/0016).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import asyncpg

import sql
from batchers.fence import recording_instant
from batchers.reading import columns
from batchers.user_memory import UserKey
from batchers.writing import write_users
from pipeline.rebuild.folding import Row, read_event
from pipeline.rebuild.looking import Wanted
from pipeline.rebuild.months import with_months_held
from pipeline.rebuild.scope import Slice, Tally
from pipeline.rebuild.steps import ROWS_A_STEP, Locked, Steps
from schemas.instants import Instant, instant_of

Watermarks = Mapping[int, Instant]
# Whom the store names, and how; None: nobody stands behind the row.
Wrong = tuple[UserKey, str | None]

# An event takes about 1.5 KB here.
ROWS_A_FETCH: Final = 5_000


class Names:
    """The newest name of each user among some events, which may come in any order."""

    def __init__(self) -> None:
        self._newest: dict[UserKey, tuple[Instant, str]] = {}

    def hear(self, rows: Iterable[Row]) -> None:
        """Take in rows of rebuild_names. Raises StoreDamaged."""
        newest = self._newest
        for row in rows:
            recorded_by = read_event(row).recorded_by
            if recorded_by.name is not None:
                key = (row[0], recorded_by.user_id)
                said = (row[8], recorded_by.name)
                newest[key] = max(said, newest.get(key, said))

    @property
    def of(self) -> dict[UserKey, str]:
        """By user."""
        return {key: name for key, (_, name) in self._newest.items()}


async def rebuild_users(reading: asyncpg.Connection, steps: Steps | None, slice_: Slice, wanted: Wanted) -> Tally:
    """Bring the names of a slice to what the store says; without `steps` only count what that would change.

    Where months are in archives, only what was stored since is known: whom that does not name keeps what he is called.
    Raises StoreDamaged.
    """
    tally, said = Tally(), Names()
    async with reading.transaction(isolation="repeatable_read", readonly=True):
        wanted = await with_months_held(reading, wanted)
        watermarks = {row[0]: row[1] for row in await reading.fetch(sql.query("rebuild_watermarks"))}
        cursor = await reading.cursor(sql.query("rebuild_names"), *slice_.arguments, wanted.store_begins)
        while rows := await cursor.fetch(ROWS_A_FETCH):
            tally.looked_at += len(rows)
            said.hear(rows)
        rows = await reading.fetch(sql.query("rebuild_users"), *slice_.arguments)
        standing = {(row[0], row[1]): row[2] for row in rows}
    wrong = _wrong(said.of, standing, whole_store=wanted.whole_store)
    for group in (wrong[start : start + ROWS_A_STEP] for start in range(0, len(wrong), ROWS_A_STEP)):
        if steps is not None:
            await _mend(steps, group, watermarks)
        tally.count("names", len(group))
    return tally


def _wrong(said: Mapping[UserKey, str], standing: Mapping[UserKey, str], *, whole_store: bool) -> list[Wrong]:
    wrong: list[Wrong] = [(key, name) for key, name in said.items() if standing.get(key) != name]
    if whole_store:
        wrong += [(key, None) for key in standing.keys() - said.keys()]
    return sorted(wrong, key=lambda each: each[0])


async def _mend(steps: Steps, group: Sequence[Wrong], watermarks: Watermarks) -> None:
    """Write these names, unless an event has given another one since the look: then that one."""
    orgs = {key[0] for key, _ in group}

    async def work(locked: Locked) -> None:
        later = await _said_since(locked, orgs, watermarks)
        names = {key: later.get(key, name) for key, name in group}
        recorded_at = recording_instant(instant_of(steps.clock.now()), locked.lanes)
        await write_users(
            locked.connection, {key: name for key, name in names.items() if name is not None}, recorded_at
        )
        await locked.connection.execute(
            sql.query("delete_users"), *columns([key for key, name in names.items() if name is None], 2)
        )
        # Somebody else has written: what workers remember of these lanes, they forget.
        await locked.connection.execute(sql.query("stamp_homes"), sorted(locked.lanes), recorded_at)

    await steps.run(orgs, work)


async def _said_since(locked: Locked, orgs: Iterable[int], watermarks: Watermarks) -> Mapping[UserKey, str]:
    """What was stored after the look: writers went on meanwhile."""
    moved_on = {lane for lane, row in locked.lanes.items() if row.last_recorded_at > watermarks[lane]}
    later = Names()
    if moved_on:
        among = sorted(org_id for org_id in orgs if locked.home(org_id).lane in moved_on)
        since = min(watermarks[lane] for lane in moved_on)
        rows = await locked.connection.fetch(sql.query("rebuild_later_names"), among, since)
        later.hear(row for row in rows if row[8] > watermarks[locked.home(row[0]).lane])
    return later.of

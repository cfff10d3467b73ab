"""Carrying a plan out beside a stream that goes on: each step in a transaction of its own, and any number of times.

A step that needs a lock which writers need waits for it no longer than they may wait behind it, lets go, and tries
again. Whatever is interrupted leaves a state that the next plan begins from: rows that left their table are in a table
that `ops.expired_months` knows of, until they are in an archive, where they are to be, and dropped.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import asyncpg

import sql
from pipeline.errors import DatabaseUnavailable, SettingsRefused
from pipeline.maintenance.partitions.archives import Reach, write_archive
from pipeline.maintenance.partitions.planning import (
    ArchiveMonth,
    DetachMonth,
    DropMonth,
    KeepVersions,
    MakeMonth,
    Plan,
    SetAside,
    Step,
)
from pipeline.maintenance.partitions.state import MONTHLY, WaitingMonth
from pipeline.months import months_after, start_of
from pipeline.settings import PartitionSettings
from pipeline.storage.audit import audit
from pipeline.storage.locks import LOCKED, bound_step, described, patiently
from pipeline.translate import database_errors

# Set aside in one go: 10,000 rows are moved within a tenth of a second.
_ROWS_OF_STEP: Final = 10_000
_A_DAY: Final = timedelta(days=1)
_COMMAND: Final = "partitions apply"


def require_archive(steps: Plan, folder: Path | None) -> None:
    """Raises SettingsRefused where a plan archives and there is no folder to archive to."""
    wanted = [step for step in steps if isinstance(step, ArchiveMonth)]
    if wanted and folder is None:
        raise SettingsRefused(
            f"{wanted[0].words}: name a folder with --archive or FOLIO_PARTITIONS_ARCHIVE_DIR. Events are never "
            "dropped without, nor is what an earlier run took out of its table to archive it"
        )


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Carries steps out over one connection."""

    connection: asyncpg.Connection
    settings: PartitionSettings
    archive_dir: Path | None
    who: str
    reach: Reach

    async def carry_out(self, step: Step) -> int:
        """Do a step, and leave its row in the operators' audit; returns how many rows it moved or dropped, if it knows.

        Raises DatabaseUnavailable when a lock was not to be had, ArchiveRefused when an archive could not be written.
        """
        with database_errors(step.words):
            match step:
                case MakeMonth():
                    return await self._make(step)
                case KeepVersions():
                    return await self._keep_versions(step)
                case DetachMonth():
                    return await self._detach(step)
                case SetAside():
                    return await self._set_aside(step)
                case ArchiveMonth():
                    return await self._archive(step)
                case DropMonth():
                    return await self._drop(step)

    async def _make(self, step: MakeMonth) -> int:
        arguments = (step.table, MONTHLY[step.table], step.month)
        await self._locked(step, sql.query("ensure_month"), *arguments, point="month_making")
        self.reach("month_made")
        return step.rows

    async def _keep_versions(self, step: KeepVersions) -> int:
        # A day at a time: nothing is locked, and what was noted before a run was killed is noted.
        noted, day, end = 0, start_of(step.month), start_of(months_after(step.month, 1))
        while day < end:
            said = await self.connection.execute(sql.query("keep_versions"), day, day + _A_DAY)
            noted, day = noted + int(said.split()[-1]), day + _A_DAY
        await self._sign(step, {"versions": noted})
        self.reach("versions_kept")
        return noted

    async def _detach(self, step: DetachMonth) -> int:
        arguments = (step.table, step.month, step.to_archive)
        await self._locked(step, sql.query("detach_month"), *arguments, point="month_detaching")
        self.reach("month_detached")
        return 0

    async def _set_aside(self, step: SetAside) -> int:
        arguments = (step.table, MONTHLY[step.table], step.month, _ROWS_OF_STEP, step.to_archive)
        total = 0
        while moved := await self._locked(step, sql.query("set_aside_month"), *arguments):
            total += moved
            self.reach("rows_set_aside")
        return total

    async def _archive(self, step: ArchiveMonth) -> int:
        assert self.archive_dir is not None, "require_archive comes first"
        (waiting,) = [
            WaitingMonth(*row)
            for row in await self.connection.fetch(sql.query("waiting_months"))
            if (row["parent"], row["month"]) == (step.table, step.month)
        ]
        written = await write_archive(self.connection, waiting, _aside(step), self.archive_dir, self.reach)
        header = written.header
        async with self.connection.transaction():
            await self.connection.execute(
                sql.query("record_archive"),
                waiting.table,
                waiting.month,
                waiting.detached_at,
                written.path.name,
                bytes.fromhex(header.sha256),
                header.rows,
            )
            await self._sign(step, {"archive": written.path.name, "rows": header.rows, "sha256": header.sha256})
        self.reach("archive_recorded")
        return header.rows

    async def _drop(self, step: DropMonth) -> int:
        # Nobody else sees the table any more: to count its rows may take as long as it takes.
        async with self.connection.transaction():
            rows: int = await self.connection.fetchval(sql.query("drop_expired_month"), step.table, step.month)
            await self._sign(step, {"rows": rows})
            self.reach("month_dropping")
        self.reach("month_dropped")
        return rows

    async def _locked(self, step: Step, statement: str, *arguments: object, point: str | None = None) -> int:
        """Run a statement whose locks writers may meet, in a transaction with bounds, until it had them."""
        try:
            return await patiently(self.settings, step.words, lambda: self._once(step, statement, arguments, point))
        except asyncpg.QueryCanceledError as error:
            raise DatabaseUnavailable(
                f"{step.words}: not within {self.settings.step_seconds_max:g} s, and writers may have waited; nothing "
                "of it is done. Set FOLIO_PARTITIONS_STEP_SECONDS_MAX higher in a quiet hour (docs/partitions.md)"
            ) from error
        except LOCKED as error:
            holders = await self.connection.fetch(sql.query("lock_holders"), step.table)
            raise DatabaseUnavailable(
                f"{step.words}: no lock in {self.settings.lock_attempts} attempts of {self.settings.lock_timeout_ms} "
                f"ms each; transactions on the table: {described(holders)}. Nothing of it is done: run it again"
            ) from error

    async def _once(self, step: Step, statement: str, arguments: tuple[object, ...], point: str | None) -> int:
        async with self.connection.transaction():
            await bound_step(self.connection, self.settings)
            done = await self.connection.fetchval(statement, *arguments)
            if done:
                await self._sign(step, {})
            if point is not None:
                self.reach(point)
        return int(done or 0)

    async def _sign(self, step: Step, more: Mapping[str, object]) -> None:
        detail = {"step": step.words, "table": step.table, "month": step.month, **more}
        await audit(self.connection, self.who, _COMMAND, detail)


def _aside(step: ArchiveMonth) -> tuple[str, str]:
    """Schema and name of the table of a month that has left its own (ops.month_table)."""
    schema, _, name = step.table.partition(".")
    return schema, f"{name.removesuffix('_partitioned')}_{step.month:%Y_%m}_expired"

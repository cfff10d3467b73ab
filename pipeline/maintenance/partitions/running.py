"""A run of maintenance from beginning to end, whoever asks for it: a command, a scheduler, or an operator over HTTP."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from pipeline.clock import Clock, SystemClock
from pipeline.crash import crash_point
from pipeline.errors import SettingsRefused
from pipeline.maintenance.partitions.applying import Maintenance, require_archive
from pipeline.maintenance.partitions.locking import only_run, require_owner
from pipeline.maintenance.partitions.planning import Keeping, Plan, Purpose, Step, only, plan, require_retention
from pipeline.maintenance.partitions.state import State, read_state
from pipeline.settings import PartitionSettings, Settings
from pipeline.storage.migrate import require_schema


@dataclass(frozen=True, slots=True)
class Maintaining:
    """By what a run decides, and how it works."""

    keeping: Keeping
    settings: PartitionSettings
    archive_dir: Path | None
    enabled: bool
    crash_at: str | None


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step that was carried out, the rows that it moved or dropped, and how long it took."""

    step: Step
    rows: int
    seconds: float


def maintaining(settings: Settings, archive: Path | None = None, events_months: int | None = None) -> Maintaining:
    """As the settings say, and what is asked for besides: another folder, months of the store that leave."""
    folder = archive or settings.partitions.archive_dir
    months = settings.batch.retention_months, settings.partitions.months_ahead
    return Maintaining(
        Keeping(*months, folder is not None, events_months),
        settings.partitions,
        folder,
        settings.flags.enable_partition_maintenance,
        settings.worker.crash_at,
    )


def require_enabled(asked: Maintaining) -> None:
    """Raises SettingsRefused where the settings say that partitions are not changed."""
    if not asked.enabled:
        raise SettingsRefused(
            "FOLIO_FLAGS_ENABLE_PARTITION_MAINTENANCE is off: partitions are not changed; plan and status go on"
        )


def planned(asked: Maintaining, state: State, purpose: Purpose | None, clock: Clock | None = None) -> Plan:
    """The steps in order. Raises SettingsRefused where months would leave that workers still write."""
    require_retention(state, asked.keeping, purpose)
    return only(plan(state, (clock or SystemClock()).now(), asked.keeping), purpose)


async def maintain(
    connection: asyncpg.Connection,
    asked: Maintaining,
    purpose: Purpose | None,
    who: str,
    tell: Callable[[StepDone], None],
) -> list[StepDone] | None:
    """Carry out what is due, and tell each step when it is done; None while another run is at work.

    Raises SettingsRefused for a login that does not own the tables, and what the steps raise.
    """
    await require_schema(connection)
    await require_owner(connection)
    async with only_run(connection) as ours:
        if not ours:
            return None
        steps = planned(asked, await read_state(connection), purpose)
        require_archive(steps, asked.archive_dir)
        maintenance = Maintenance(connection, asked.settings, asked.archive_dir, who, crash_point(asked.crash_at))
        done: list[StepDone] = []
        for step in steps:
            started = time.monotonic()
            rows = await maintenance.carry_out(step)
            done.append(StepDone(step, rows, round(time.monotonic() - started, 3)))
            tell(done[-1])
        return done

"""An archived month of the event store becomes a partition again, for rebuilds and for what the books once said."""

from pathlib import Path

import asyncpg

import sql
from pipeline.errors import ArchiveRefused, DatabaseUnavailable, SettingsRefused
from pipeline.maintenance.partitions.archives import Header, Reach, csv_of, read_header
from pipeline.maintenance.partitions.state import EVENTS, MONTHLY, State
from pipeline.settings import PartitionSettings
from pipeline.storage.audit import audit
from pipeline.storage.locks import LOCKED, bound_step, patiently
from pipeline.translate import database_errors


def require_restorable(header: Header, state: State) -> None:
    """Raises SettingsRefused for what would not be the books' truth: transactions, and a month that is there."""
    if header.table != EVENTS:
        raise SettingsRefused(
            f"{header.table} {header.month:%Y-%m}: transactions past retention may have changed since, in the "
            "snapshots alone; they do not come back. Their archive is read by `zcat FILE | tail -n +2`"
        )
    if any(partition.covers(header.month) for partition in state.of(header.table)):
        raise SettingsRefused(f"{header.table} has {header.month:%Y-%m}: there is nothing to restore")
    # Else its rows would be there twice, and the run that is taken up again would drop what nobody knows to be back.
    if any((waiting.table, waiting.month) == (header.table, header.month) for waiting in state.waiting):
        raise SettingsRefused(
            f"{header.table} {header.month:%Y-%m}: the run that archives it is not finished; "
            "run `folio partitions apply` first"
        )


async def restore(
    connection: asyncpg.Connection, path: Path, settings: PartitionSettings, who: str, reach: Reach
) -> Header:
    """Fill a table from the archive, beside everything; then attach it, under the bounds of a step.

    Raises ArchiveRefused for a file that is not what it says, DatabaseUnavailable when the lock was not to be had.
    Interrupted, it is begun again from the file.
    """
    header = read_header(path)
    place = (header.table, MONTHLY[header.table], header.month)
    with database_errors(f"restoring {path}"):
        async with connection.transaction():
            table: str = await connection.fetchval(sql.query("begin_restore"), *place)
            said = await connection.copy_to_table(
                table,
                schema_name=header.table.split(".", maxsplit=1)[0],
                source=csv_of(path),
                columns=header.columns,
                format="csv",
                header=True,
            )
            if int(said.split()[1]) != header.rows:
                raise ArchiveRefused(f"{path}: it has {said.split()[1]} rows, not {header.rows:,} as it says")
        reach("month_restoring")

        async def attach() -> None:
            async with connection.transaction():
                await bound_step(connection, settings)
                await connection.execute(sql.query("end_restore"), *place, bytes.fromhex(header.sha256))
                detail = {"archive": path.name, "table": header.table, "month": header.month, "rows": header.rows}
                await audit(connection, who, "partitions restore", detail)

        try:
            await patiently(settings, f"attach {header.month:%Y-%m}", attach)
        except LOCKED as error:
            raise DatabaseUnavailable(f"{path}: no lock to attach its month with; run it again") from error
    reach("month_restored")
    return header

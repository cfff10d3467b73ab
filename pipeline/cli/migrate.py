"""folio migrate: bring the database to the schema that this version needs."""

import asyncio

from pipeline import settings as settings_module
from pipeline.cli.output import Output, print_document
from pipeline.endpoints import resolve
from pipeline.exits import EXIT_OK
from pipeline.logs import configure
from pipeline.storage.connect import connect
from pipeline.storage.migrate import MonthsKept
from pipeline.storage.migrate import migrate as apply_migrations
from pipeline.translate import database_errors


def migrate(*, output: Output = "text") -> int:
    """Apply the migrations that the database lacks, and make the months around now. Safe to repeat.

    Parameters
    ----------
    output
        text for people, json for programs.
    """
    applied = asyncio.run(_migrate())
    if output == "json":
        print_document({"applied": applied})
    else:
        print("\n".join(f"applied {name}" for name in applied) or "nothing to apply")
    return EXIT_OK


async def _migrate() -> list[str]:
    settings = settings_module.load()
    configure(settings.log.level)
    with database_errors("connecting"):
        connection = await connect(resolve(settings).database_url, settings.database, "folio migrate")
    try:
        months = MonthsKept(settings.batch.retention_months, settings.partitions.months_ahead)
        return await apply_migrations(connection, months=months, locks=settings.partitions)
    finally:
        await connection.close()

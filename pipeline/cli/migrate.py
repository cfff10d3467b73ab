"""folio migrate: bring the database to the schema that this version needs."""

import asyncio

from pipeline import settings as settings_module
from pipeline.endpoints import resolve
from pipeline.storage.connect import connect
from pipeline.storage.migrate import migrate as apply_migrations
from pipeline.translate import database_errors


def migrate() -> int:
    """Apply the migrations that the database lacks, and make the months around now. Safe to repeat."""
    applied = asyncio.run(_migrate())
    print("\n".join(f"applied {name}" for name in applied) or "nothing to apply")
    return 0


async def _migrate() -> list[str]:
    settings = settings_module.load()
    with database_errors("connecting"):
        connection = await connect(resolve(settings).database_url, settings.database, "folio migrate")
    try:
        return await apply_migrations(connection)
    finally:
        await connection.close()

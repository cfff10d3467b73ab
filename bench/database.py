"""What the database itself counts of a round: rows written by table, WAL, checkpoints."""

from typing import Final

import asyncpg
import msgspec

from bench.workload import ZONE

# By the table as people know it: partitions count for their root.
_ROWS: Final = """
    SELECT coalesce(pg_partition_root(relid), relid)::regclass::text AS name,
           sum(n_tup_ins)::bigint AS inserted, sum(n_tup_upd)::bigint AS updated,
           sum(n_tup_hot_upd)::bigint AS updated_hot, sum(n_tup_del)::bigint AS deleted
    FROM pg_stat_user_tables
    GROUP BY 1
    HAVING sum(n_tup_ins + n_tup_upd + n_tup_del) > 0
    ORDER BY 1
"""
_WAL: Final = """
    SELECT pg_current_wal_lsn() - '0/0'::pg_lsn AS bytes, w.wal_fpi AS page_images,
           c.num_timed + c.num_requested AS checkpoints
    FROM pg_stat_wal AS w, pg_stat_checkpointer AS c
"""


# As `folio properties load` leaves them, with the zone and currency that events expect.
_LOAD_PROPERTIES: Final = """
    WITH made AS (
        INSERT INTO finance.properties (
            org_id, property_id, currency, opening_cash_cents, self_registered, created_at, known_since)
        SELECT org_id, org_id * 100 + number, 'INR', 0, false, now(), now()
        FROM generate_series(1, $1::bigint) AS org_id, generate_series(1, $2::bigint) AS number
        ORDER BY 1, 2
        RETURNING org_id, property_id
    )
    INSERT INTO finance.property_time_zones (org_id, property_id, valid_from, time_zone)
    SELECT org_id, property_id, '0001-01-01 00:00:00+00', $3
    FROM made
"""


class Written(msgspec.Struct, frozen=True):
    """Rows written to one table since its database was made."""

    name: str
    inserted: int
    updated: int
    updated_hot: int
    deleted: int

    @property
    def rows(self) -> int:
        return self.inserted + self.updated + self.deleted


class Wal(msgspec.Struct, frozen=True):
    """The write-ahead log of the whole server at one moment."""

    bytes: int
    page_images: int
    checkpoints: int

    def since(self, before: "Wal") -> "Wal":
        """What came between."""
        return Wal(
            self.bytes - before.bytes, self.page_images - before.page_images, self.checkpoints - before.checkpoints
        )


async def rows_written(connection: asyncpg.Connection) -> list[Written]:
    """Exact once every session that wrote has ended: living ones report at most once a second."""
    return [Written(**row) for row in await connection.fetch(_ROWS)]


async def wal(connection: asyncpg.Connection) -> Wal:
    """The log's position and counters now."""
    row = await connection.fetchrow(_WAL)
    assert row is not None, "both views have one row"
    return Wal(int(row["bytes"]), row["page_images"], row["checkpoints"])


async def load_properties(connection: asyncpg.Connection, orgs: int, properties_per_org: int) -> None:
    """Every property of a workload, by one statement: a file of 400,000 lines would take minutes."""
    await connection.execute(_LOAD_PROPERTIES, orgs, properties_per_org, ZONE)
    await connection.execute("VACUUM ANALYZE finance.properties, finance.property_time_zones")

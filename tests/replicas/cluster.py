"""A primary with real standbys, as the local stack makes them, and the hands that strike them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg

from pipeline import settings as settings_module
from pipeline.settings import Settings
from pipeline.stack import Endpoints, StackConfig
from pipeline.stack.config import REPLICAS, PartName
from pipeline.stack.record import read
from pipeline.stack.stack import up
from tests.chaos.nodes import frozen_family
from tests.support.waiting import until

# A table that its readers need no migration for, held to one organisation as the books are.
_PROBE = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'folio_reader') THEN CREATE ROLE folio_reader NOLOGIN; END IF;
END $$;
CREATE SCHEMA read_models;
GRANT USAGE ON SCHEMA read_models TO folio_reader;
CREATE TABLE read_models.probe (org_id bigint PRIMARY KEY, n bigint NOT NULL);
GRANT SELECT ON read_models.probe TO folio_reader;
ALTER TABLE read_models.probe ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_org ON read_models.probe FOR SELECT TO folio_reader
    USING (org_id = nullif(current_setting('folio.org_id', true), '')::bigint);
INSERT INTO read_models.probe SELECT org, 0 FROM generate_series(1, 100) AS org;
"""
_PROMOTION_SECONDS = 20
_QUICK = {
    "FOLIO_REPLICA_HEALTH_CHECK_INTERVAL_SECONDS": "0.3",
    "FOLIO_REPLICA_LAG_WARN_SECONDS": "0.5",
    "FOLIO_REPLICA_LAG_CRITICAL_SECONDS": "1",
    # A machine that stands for a second is no dead server.
    "FOLIO_REPLICA_ANSWER_TIMEOUT_SECONDS": "2",
    "FOLIO_POOL_PRIMARY_MIN": "1",
    "FOLIO_POOL_REPLICA_MIN": "1",
    "FOLIO_POOL_PRIMARY_MAX": "10",
    "FOLIO_POOL_REPLICA_MAX": "10",
}


def quick_settings(**overrides: str) -> Settings:
    """Bounds within the patience of a test; each is a setting."""
    return settings_module.load(_QUICK | {f"FOLIO_{name}": value for name, value in overrides.items()})


@dataclass(frozen=True)
class Cluster:
    """A stack that has replicas."""

    config: StackConfig
    endpoints: Endpoints

    @property
    def replica_urls(self) -> tuple[str, ...]:
        return self.endpoints.replica_urls

    def pid(self, part: PartName) -> int:
        record = read(self.config.directory)
        assert record is not None
        process = record.parts[part].process
        assert process is not None
        return process.pid

    def socket(self, part: PartName) -> Path:
        """Where a server of it is reached."""
        url = self.endpoints.database_url if part == "postgres" else self.replica_urls[REPLICAS.index(part)]
        place = parse_qs(urlsplit(url).query)
        return Path(place["host"][0]) / f".s.PGSQL.{place['port'][0]}"

    def kill(self, part: PartName) -> None:
        """SIGKILL to the server and every process of its own, as when the machine is gone."""
        _signal(frozen_family(self.pid(part)), signal.SIGKILL)

    def freeze(self, part: PartName) -> list[int]:
        """SIGSTOP to all of it; what to thaw."""
        return frozen_family(self.pid(part))

    async def mended(self) -> None:
        """What was killed runs again, at its old address."""
        await asyncio.to_thread(up, self.config)

    async def cut_off(self, url: str) -> None:
        """A replica hears no more of its primary."""
        async with self.superuser(url) as connection:
            await connection.execute("ALTER SYSTEM SET primary_conninfo = ''")
            await connection.execute("SELECT pg_reload_conf()")

            async def heard_no_more() -> bool:
                return not await connection.fetchval("SELECT count(*) FROM pg_stat_wal_receiver")

            await until(heard_no_more)

    async def promote(self, url: str) -> None:
        """A replica becomes a primary, on a timeline of its own."""
        async with self.superuser(url) as connection:
            assert await connection.fetchval("SELECT pg_promote(true, $1)", _PROMOTION_SECONDS)

    @asynccontextmanager
    async def superuser(self, url: str | None = None) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(url or self.endpoints.database_url, timeout=10)
        try:
            yield connection
        finally:
            connection.terminate()


def thaw(frozen: list[int]) -> None:
    _signal(frozen, signal.SIGCONT)


async def make_probe(cluster: Cluster) -> None:
    async with cluster.superuser() as connection:
        await connection.execute(_PROBE)


def _signal(processes: list[int], number: signal.Signals) -> None:
    for pid in processes:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue

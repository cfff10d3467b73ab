"""Databases for tests that share one: to empty a database takes a fraction of making another."""

import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg

_numbers = itertools.count(1)

EMPTY_THE_BOOKS = """
    DELETE FROM finance.property_time_zones; DELETE FROM finance.properties;
    DELETE FROM finance.revenues_partitioned; DELETE FROM finance.expenses_partitioned;
    DELETE FROM finance.daily_cash_balances_partitioned;
    DELETE FROM event_store.events; DELETE FROM event_store.snapshots; DELETE FROM read_models.users;
    DELETE FROM ops.archived_versions;
    DELETE FROM ops.balance_adjustments; DELETE FROM ops.balance_corrections; DELETE FROM ops.jobs;
    DELETE FROM ops.drifts; DELETE FROM ops.night_audit_days; DELETE FROM ops.reports;
    DELETE FROM read_models.daily_reports; DELETE FROM read_models.monthly_summaries; DELETE FROM read_models.refreshes;
    DELETE FROM ops.org_pause_positions; DELETE FROM ops.org_pauses;
    DELETE FROM ops.outbox; DELETE FROM ops.dead_letters; DELETE FROM ops.lane_rules; DELETE FROM ops.lanes;
    SET session_replication_role = replica; DELETE FROM event_store.chain_links; RESET session_replication_role;
"""


async def drop(admin: asyncpg.Connection, name: str) -> None:
    """Drop a database, whoever is connected."""
    await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@asynccontextmanager
async def a_database(server_url: str, template: str = "template1") -> AsyncIterator[str]:
    """The URL of a new database, done with afterwards whoever is connected."""
    name = f"test_shared_{os.getpid()}_{next(_numbers)}"
    admin = await asyncpg.connect(server_url)
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY WAL_LOG")
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        await drop(admin, name)
        await admin.close()

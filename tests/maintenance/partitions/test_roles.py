"""Who may do what to the months: an owner that is no superuser does all of it, an operator only looks."""

import itertools
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest_asyncio

from pipeline.maintenance.partitions.state import REVENUES
from pipeline.months import month_of, months_after, start_of
from pipeline.stack import Endpoints
from pipeline.storage.migrate import migrate
from tests.maintenance.partitions.conftest import Command, months_of
from tests.support.databases import a_database

_numbers = itertools.count(1)
NOW = datetime.now(UTC)
OLD = start_of(months_after(month_of(NOW), -30))


def as_login(url: str, name: str) -> str:
    """The same database by another login: the stack's trusts whoever comes by its socket."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{name}@{parts.netloc.rpartition('@')[2]}"))


@pytest_asyncio.fixture
async def logins(stack: Endpoints) -> AsyncIterator[dict[str, str]]:
    """Two logins of this test's own, by what they are."""
    names = {kind: f"test_{kind}_{os.getpid()}_{next(_numbers)}" for kind in ("owner", "operator")}
    admin = await asyncpg.connect(stack.database_url)
    await admin.execute(f"CREATE ROLE {names['owner']} LOGIN; CREATE ROLE {names['operator']} LOGIN")
    await admin.execute(f"GRANT folio_operator TO {names['operator']}")
    try:
        yield names
    finally:
        await admin.execute(f"DROP ROLE {names['owner']}; DROP ROLE {names['operator']}")
        await admin.close()


@pytest_asyncio.fixture
async def owned(stack: Endpoints, template: str, logins: dict[str, str], tmp_path: Path) -> AsyncIterator[Command]:
    """The command on a database that a login without any privilege besides has migrated, and owns."""
    async with a_database(stack.database_url) as url:
        admin = await asyncpg.connect(url)
        await admin.execute(f"ALTER SCHEMA public OWNER TO {logins['owner']}")
        name = await admin.fetchval("SELECT current_database()")
        await admin.execute(f"ALTER DATABASE {name} OWNER TO {logins['owner']}")
        await admin.close()
        owner = await asyncpg.connect(as_login(url, logins["owner"]))
        await migrate(owner)
        await owner.close()
        command = Command(as_login(url, logins["owner"]), tmp_path)
        command.archives.mkdir()
        yield command


async def test_the_owner_maintains_though_it_is_no_superuser_and_an_operator_only_looks(
    owned: Command, stack: Endpoints, logins: dict[str, str]
) -> None:
    superuser = await asyncpg.connect(as_login(owned.database_url, urlsplit(stack.database_url).username or ""))
    await superuser.execute("INSERT INTO ops.lanes (lane, last_appended_at) VALUES (0, now())")
    transaction = "1, '2026-03-10', 5, 'INR', 'cash', 'approved', NULL, NULL, NULL, NULL, 1, 7, now(), 7, now(), now()"
    # Past retention, in the default partition; and of a month that somebody forgot.
    await superuser.execute(f"DROP TABLE finance.revenues_{NOW:%Y_%m}")
    await superuser.execute(f"INSERT INTO {REVENUES} VALUES (1, 1, $1, {transaction})", OLD)
    await superuser.execute(f"INSERT INTO {REVENUES} VALUES (1, 2, $1, {transaction})", NOW)
    operator = replace(owned, database_url=as_login(owned.database_url, logins["operator"]))
    status, planned, refused = [await operator(command) for command in ("status", "plan", "apply")]
    assert (status.returncode, planned.returncode, refused.returncode) == (1, 0, 3), status.stderr + planned.stderr
    assert "by the owner of the tables" in " ".join(refused.stderr.split())
    assert "with 1 rows of the default partition" in planned.stdout
    applied = await owned("apply", "--archive", str(owned.archives))
    assert applied.returncode == 0, applied.stderr
    assert f"{NOW:%Y_%m}" in await months_of(superuser, REVENUES)
    rows = await superuser.fetch(f"SELECT id, tableoid::regclass::text FROM {REVENUES}")
    assert [tuple(row) for row in rows] == [(2, f"finance.revenues_{NOW:%Y_%m}")]
    assert len(list(owned.archives.iterdir())) == 1
    await superuser.close()


async def test_what_a_superuser_makes_is_the_owners(owned: Command, stack: Endpoints, logins: dict[str, str]) -> None:
    superuser_url = as_login(owned.database_url, urlsplit(stack.database_url).username or "")
    superuser = await asyncpg.connect(superuser_url)
    await superuser.execute(f"DROP TABLE finance.revenues_{NOW:%Y_%m}")
    applied = await replace(owned, database_url=superuser_url)("apply", "--only", "create")
    assert applied.returncode == 0, applied.stderr
    strangers = await superuser.fetch(
        "SELECT inhrelid::regclass::text FROM pg_inherits JOIN pg_class ON oid = inhrelid "
        "WHERE inhparent = $1::text::regclass AND pg_get_userbyid(relowner) <> $2",
        REVENUES,
        logins["owner"],
    )
    assert f"{NOW:%Y_%m}" in await months_of(superuser, REVENUES)
    assert strangers == []
    await superuser.close()

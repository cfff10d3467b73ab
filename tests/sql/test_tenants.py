"""Generated attempts to see another tenant: a reader that names its own organisation sees no row of another one.

What a session says in `folio.org_id` is trusted: setting it is the service's part, after it has checked who asks.

Every organisation's rows hold its own number in every column that can hold one, so that a leak shows in any column, in
a count, in a message of the server. `make campaign` makes 100,000 attempts.
"""

import os
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import asyncpg
import pytest_asyncio

from tests.sql.test_roles import TENANT_TABLES, in_the_store

ATTEMPTS: Final = int(os.environ.get("FOLIO_TEST_ATTEMPTS", "3000"))
# Five digits that no server writes by itself: found in an answer or a message, they were leaked.
ORGS: Final = (70_001, 70_002, 70_003)
ROWS_OF_AN_ORG: Final = 3  # in each table
_MARKED: Final = re.compile(r"7000[1-3]")


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a session says it is, and what it then asks for."""

    says: str | None  # the value of folio.org_id; None: it was never set
    statement: str

    @property
    def own(self) -> int | None:
        """The organisation that it may see."""
        says = (self.says or "").strip()
        return int(says) if re.fullmatch(r"[+-]?\d{1,18}", says) else None


@pytest_asyncio.fixture(scope="module")
async def reader(module_database: str) -> AsyncIterator[asyncpg.Connection]:
    """A session of a login that may do what folio_reader may, on tables in which each organisation has its rows."""
    login = f"test_reader_{os.getpid()}"
    owner = await asyncpg.connect(module_database)
    for org in ORGS:
        await _fill(owner, org)
    await owner.execute(f"CREATE ROLE {login} LOGIN IN ROLE folio_reader")
    connection = await asyncpg.connect(module_database, user=login)
    try:
        yield connection
    finally:
        await connection.close()
        await owner.execute(f"DROP ROLE {login}")
        await owner.close()


async def _fill(owner: asyncpg.Connection, org: int) -> None:
    """Rows that bear their organisation's number wherever they can."""
    zone = "'0001-01-01 00:00:00+00', 'UTC'"
    for number in range(1, ROWS_OF_AN_ORG + 1):
        day, at = f"'2026-03-{number:02}'", f"'2026-03-{number:02} 12:00:00+00'"
        texts = ", ".join([f"'{org}'"] * 4)
        transaction = (
            f"{number}, {day}, {org}, 'INR', 'cash', 'approved', {texts}, 1, {org}, now(), {org}, now(), now()"
        )
        await owner.execute(
            f"INSERT INTO finance.properties VALUES ({org}, {number}, '{org}', 'INR', {org}, true, now());"
            f"INSERT INTO finance.property_time_zones VALUES ({org}, {number}, {zone});"
            f"INSERT INTO finance.revenues_partitioned VALUES ({org}, {number}, {at}, {transaction});"
            f"INSERT INTO finance.expenses_partitioned VALUES ({org}, {number}, {at}, {transaction});"
            "INSERT INTO finance.daily_cash_balances_partitioned VALUES "
            f"({org}, {number}, {day}, 1, 0, {org}, 0, 0, 0, {org}, NULL, {org}, 0, NULL, now());"
            "INSERT INTO read_models.daily_reports "
            f"VALUES ({org}, {number}, {day}, {org}, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, now());"
            "INSERT INTO read_models.monthly_summaries "
            f"VALUES ({org}, {number}, '2026-03-01', 0, {org}, 0, 0, 0, {org}, 0, 1, 0, 1, now());"
            "INSERT INTO ops.dead_letters "
            "(topic, lane, record_offset, reason, detail, appended_at, recorded_at, record_key) "
            f"VALUES ('{org}', 0, {number}, '{org}', '{org}', now(), now(), '{org}');"
            + in_the_store(org, number, day, at, f"'{org}'")
        )
    await owner.execute("ANALYZE")


def attempt(chance: Random, partitions: Sequence[str]) -> Attempt:
    """One try: with a true name, a false one, or none; by one of the ways that people have found elsewhere."""
    own, other = chance.sample(ORGS, 2)
    says: str | None = str(own)
    if chance.random() < 0.3:
        says = chance.choice((None, "", " ", "0", "-1", f"{own} OR true", f"{own},{other}", f" {own} ", "NaN", "1e5"))
    table, another = chance.choice(TENANT_TABLES), chance.choice(TENANT_TABLES)
    names = {"table": table, "another": another, "partition": chance.choice(partitions)}
    statement = chance.choice(_WAYS).format(**names, own=own, other=other, n=chance.randint(1, 4))
    return Attempt(says, statement)


_TELL: Final = (
    "CREATE FUNCTION pg_temp.tell(bigint) RETURNS bool COST 0.0001 LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$"
)
_WAYS: Final[Sequence[str]] = (
    "SELECT * FROM ops.own_dead_letters('{other}', '{{0}}', ARRAY[{n}])",
    "SELECT l.* FROM {table} AS a CROSS JOIN LATERAL ops.own_dead_letters('{other}', '{{0}}', '{{1,2,3}}') AS l",
    "SELECT * FROM {table}",
    "SELECT * FROM {table} WHERE org_id = {other}",
    "SELECT * FROM {table} WHERE org_id <> {own}",
    "SELECT * FROM {table} WHERE org_id = {own} OR true",
    "SELECT * FROM {table} WHERE org_id IN (SELECT org_id FROM {another})",
    "SELECT a.*, b.* FROM {table} AS a CROSS JOIN {another} AS b LIMIT 50",
    "SELECT b.* FROM {table} AS a RIGHT JOIN {another} AS b ON false",
    "SELECT a.* FROM {table} AS a FULL JOIN {another} AS b USING (org_id, property_id)",
    "SELECT * FROM {table} UNION ALL SELECT * FROM {table} OFFSET {n}",
    "SELECT count(*) AS rows_seen, min(org_id), max(org_id), string_agg(org_id::text, ',') FROM {table}",
    "SELECT count(*) AS strangers FROM {table} WHERE org_id = {other}",
    "SELECT EXISTS (SELECT FROM {table} WHERE org_id = {other}) AS leaked",
    "SELECT 1 / (org_id - {other}) AS n FROM {table}",
    "SELECT * FROM {table} WHERE 1 / (org_id - {other}) IS NOT NULL",
    "SELECT * FROM {table} WHERE org_id::text::date IS NOT NULL",
    "SELECT * FROM {table} WHERE (property_id || 'x')::int = {n}",
    "WITH all_of_it AS MATERIALIZED (SELECT * FROM {table}) SELECT * FROM all_of_it WHERE org_id = {other}",
    "SELECT t FROM {table} AS t WHERE t::text LIKE '%{other}%'",
    "SELECT to_jsonb(t) FROM {table} AS t ORDER BY random()",
    "SELECT tableoid::regclass, ctid, xmin, * FROM {table}",
    "SELECT * FROM {table} TABLESAMPLE SYSTEM (100)",
    "SELECT * FROM {table} WHERE ctid = '(0,{n})'",
    "TABLE {table}",
    "SELECT set_config('folio.org_id', '{own}', false), t.* FROM {table} AS t",
    "SELECT * FROM {table}, LATERAL (SELECT current_setting('folio.org_id', true)) AS s",
    "EXPLAIN (ANALYZE, TIMING OFF) SELECT * FROM {table} WHERE org_id = {other}",
    "SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats WHERE tablename LIKE '%partitioned%'",
    "SELECT query FROM pg_stat_activity",
    "COPY (SELECT * FROM {table} WHERE org_id = {other}) TO STDOUT",
    "SELECT * FROM {partition}",
    "SELECT * FROM {partition} WHERE org_id = {other}",
    "SELECT count(*) AS strangers FROM {table} WHERE org_id <> {own}",
    "COPY {table} TO STDOUT",
    "SELECT convert_from(event_data, 'UTF8') FROM event_store.events",
    "SELECT * FROM event_store.snapshots WHERE org_id = {other}",
    "SELECT * FROM ops.lanes",
    "SELECT ops.safe_watermarks()",
    "SELECT ops.transactions_kept_since()",
    "SELECT e.* FROM event_store.events AS e JOIN event_store.snapshots AS s USING (aggregate_id)",
    "SELECT * FROM ops.outbox",
    "SELECT * FROM ops.dead_letters",
    "SELECT * FROM ops.balance_corrections WHERE org_id = {other}",
    "SET ROLE folio_writer",
    "SET LOCAL row_security = off; SELECT * FROM {table}",
    "SELECT pg_read_file('PG_VERSION')",
    "CREATE TEMPORARY TABLE stolen AS SELECT * FROM {table}",
    "DECLARE c CURSOR FOR SELECT * FROM {table}",
    "INSERT INTO {table} SELECT * FROM {table}",
    "UPDATE {table} SET org_id = {own} WHERE org_id = {other}",
    "DELETE FROM {table} WHERE org_id = {other} RETURNING *",
    "SELECT * FROM {table} WHERE org_id = {other} FOR UPDATE",
    "LOCK TABLE {table}",
    "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
    "DROP POLICY own_org ON {table}",
    # A function of the reader's own that tells what it is shown: it must not be asked before the policy.
    f"{_TELL}; SELECT * FROM {{table}} WHERE pg_temp.tell(org_id)",
)


async def test_no_attempt_shows_a_row_of_another_organisation(reader: asyncpg.Connection) -> None:
    chance, partitions = Random(7), await _partitions(reader)
    heard: list[str] = []
    reader.add_log_listener(lambda _connection, message: heard.append(str(message)))
    answered = refused = 0
    for _ in range(ATTEMPTS):
        tried = attempt(chance, partitions)
        heard.clear()
        try:
            shown = await _asked(reader, tried)
            answered += 1
        except asyncpg.PostgresError as error:
            shown = f"{error} {error.detail or ''} {error.hint or ''}"
            refused += 1
        strangers = {int(found) for found in _MARKED.findall(f"{shown} {heard}")} - {tried.own}
        # What the attempt itself has named is no news to it.
        if not shown.startswith("rows:"):
            strangers -= {int(found) for found in _MARKED.findall(f"{tried.statement} {tried.says}")}
        assert not strangers, (tried, shown[:500], heard[:5])
        assert "leaked" not in shown, tried
    assert min(answered, refused) > ATTEMPTS // 10, (answered, refused)


async def _partitions(reader: asyncpg.Connection) -> list[str]:
    """Of every table that has some, those of tenants and of the store: the way round the parents' policies."""
    rows = await reader.fetch(
        "SELECT inhrelid::regclass::text FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid WHERE c.relkind = 'r'"
    )
    assert len(rows) > 40
    return [row[0] for row in rows]


async def _asked(reader: asyncpg.Connection, tried: Attempt) -> str:
    """Everything that came back, in a transaction that is then undone."""
    transaction = reader.transaction()
    await transaction.start()
    try:
        if tried.says is not None:
            await reader.execute("SELECT set_config('folio.org_id', $1, true)", tried.says)
        if ";" in tried.statement or tried.statement.startswith(("COPY", "DECLARE", "CREATE")):
            return _counted(tried, await reader.execute(tried.statement))
        rows = await reader.fetch(tried.statement)
        plans = tried.statement.startswith("EXPLAIN")
        return " ".join(str(tuple(row.values())) for row in rows) if plans else _told(tried, rows)
    finally:
        await transaction.rollback()


def _counted(tried: Attempt, tag: str) -> str:
    """The tag of a command; 'leaked' where it counts more rows than the session's own organisation has."""
    counts = [int(word) for word in tag.split() if word.isdecimal()]
    return "leaked" if max(counts, default=0) > (ROWS_OF_AN_ORG if tried.own in ORGS else 0) else tag


def _told(tried: Attempt, rows: Sequence[asyncpg.Record]) -> str:
    """The rows as text; and 'leaked' where a number alone gives somebody away."""
    for row in rows:
        if row.get("leaked") or row.get("strangers"):
            return "leaked"
        seen = row.get("rows_seen")
        if seen is not None and seen > (ROWS_OF_AN_ORG if tried.own in ORGS else 0):
            return "leaked"
    return "rows: " + " ".join(str(tuple(row.values())) for row in rows)

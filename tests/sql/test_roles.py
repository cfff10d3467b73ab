"""Who may do what: readers see one tenant, writers cannot rewrite history, operators look."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

TENANT_TABLES = [
    "finance.properties",
    "finance.property_time_zones",
    "finance.revenues_partitioned",
    "finance.expenses_partitioned",
    "finance.daily_cash_balances_partitioned",
    "event_store.events",
    "event_store.snapshots",
    "ops.balance_corrections",
    "ops.balance_adjustments",
    "read_models.users",
    "read_models.daily_reports",
    "read_models.monthly_summaries",
]
DENIED = asyncpg.InsufficientPrivilegeError


def in_the_store(org: int, number: int, day: str, at: str, text: str) -> str:
    """A row of the organisation in each table behind the books; every text and every body says `text`."""
    key, body = f"'00000000-0000-0000-0000-{org:09}{number:03}'", f"convert_to({text}, 'UTF8')"
    return (
        f"INSERT INTO event_store.events VALUES ({at}, 0, {number}, {org}, 'revenue', {number}, 1, {text}, {key}, "
        f"{number}, {day}, {at}, {at}, 'applied', 1, {body}, {body}, {body});"
        f"INSERT INTO event_store.snapshots VALUES ({org}, 'revenue', {number}, 1, 1, {body}, {number}, {at}, {day}, "
        f"{text}, 'approved', {org}, {org}, {at}, {org}, {at}, {org}, {at});"
        f"INSERT INTO ops.balance_corrections VALUES ({org}, {key}, {number}, {day}, 'figures', {org}, 1, {body}, 0, "
        f"{number}, 0, {at}, {at}, {at}, {org}, {text}, {body}, {body});"
        "INSERT INTO ops.balance_adjustments (org_id, property_id, balance_date, correction_id, "
        "cash_received_before_cents, bank_received_before_cents, cash_expenses_before_cents, "
        "bank_expenses_before_cents, cash_received_after_cents, bank_received_after_cents, cash_expenses_after_cents, "
        "bank_expenses_after_cents, recorded_at) "
        f"VALUES ({org}, {number}, {day}, {key}, 0, 0, 0, 0, {org}, {org}, {org}, {org}, {at});"
        f"INSERT INTO read_models.users VALUES ({org}, {number}, {text}, {at});"
    )


@pytest_asyncio.fixture(scope="module")
async def tenants(module_database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection with every right; two organisations have one row in each table that tenants read."""
    connection = await asyncpg.connect(module_database)
    transaction = "1, '2026-03-10', 5, 'INR', 'cash', 'approved', NULL, NULL, NULL, NULL, 1, 7, now(), 7, now(), now()"
    for org in (1, 2):
        await connection.execute(
            f"INSERT INTO finance.properties VALUES ({org}, 1, NULL, 'INR', 0, true, now());"
            f"INSERT INTO finance.property_time_zones VALUES ({org}, 1, '0001-01-01 00:00:00+00', 'UTC');"
            f"INSERT INTO finance.revenues_partitioned VALUES ({org}, 1, '2026-03-10 12:00:00+00', {transaction});"
            f"INSERT INTO finance.expenses_partitioned VALUES ({org}, 1, '2026-03-10 12:00:00+00', {transaction});"
            "INSERT INTO finance.daily_cash_balances_partitioned "
            f"VALUES ({org}, 1, '2026-03-10', 1, 0, 5, 0, 0, 0, 5, NULL, 5, 0, NULL, now());"
            "INSERT INTO read_models.daily_reports "
            f"VALUES ({org}, 1, '2026-03-10', 5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, now());"
            "INSERT INTO read_models.monthly_summaries "
            f"VALUES ({org}, 1, '2026-03-01', 0, 5, 0, 0, 0, 5, 0, 1, 0, 1, now());"
            + in_the_store(org, 1, "'2026-03-10'", "now()", "'x'")
        )
    await connection.execute("INSERT INTO ops.lanes (lane) VALUES (0)")
    try:
        yield connection
    finally:
        await connection.close()


@pytest_asyncio.fixture
async def connection(tenants: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    """The same, with whatever a test does undone."""
    transaction = tenants.transaction()
    await transaction.start()
    try:
        yield tenants
    finally:
        await transaction.rollback()


async def become(connection: asyncpg.Connection, role: str, org: str | None = None) -> None:
    await connection.execute(f"SET LOCAL ROLE {role}")
    if org is not None:
        await connection.execute("SELECT set_config('folio.org_id', $1, true)", org)


async def orgs_in(connection: asyncpg.Connection, table: str) -> list[int]:
    return [row[0] for row in await connection.fetch(f"SELECT org_id FROM {table} ORDER BY org_id")]


# --- readers ---


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_a_reader_sees_the_organisation_that_it_names_and_no_other(
    connection: asyncpg.Connection, table: str
) -> None:
    await become(connection, "folio_reader", "2")
    assert await orgs_in(connection, table) == [2]
    assert await connection.fetch(f"SELECT FROM {table} WHERE org_id = 1") == []
    await connection.execute("SELECT set_config('folio.org_id', '1', true)")
    assert await orgs_in(connection, table) == [1]


@pytest.mark.parametrize("table", TENANT_TABLES)
@pytest.mark.parametrize("org", [None, "", "3"], ids=["unset", "empty", "unknown"])
async def test_a_reader_that_names_no_known_organisation_sees_nothing(
    connection: asyncpg.Connection, table: str, org: str | None
) -> None:
    await become(connection, "folio_reader", org)
    assert await orgs_in(connection, table) == []


async def test_what_is_no_organisation_is_refused_and_shows_nothing(connection: asyncpg.Connection) -> None:
    await become(connection, "folio_reader", "1 OR true")
    with pytest.raises(asyncpg.InvalidTextRepresentationError):
        await orgs_in(connection, "finance.properties")


async def test_a_reader_cannot_go_round_the_policies_by_naming_a_partition(connection: asyncpg.Connection) -> None:
    partitions = [
        row[0]
        for row in await connection.fetch(
            "SELECT inhrelid::regclass::text FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid "
            "WHERE c.relkind = 'r'"
        )
    ]
    assert len(partitions) > 100
    assert [
        partition
        for partition in partitions
        if await connection.fetchval("SELECT has_any_column_privilege('folio_reader', $1::text, 'SELECT')", partition)
    ] == []


@pytest.mark.parametrize("table", TENANT_TABLES)
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET org_id = 2", "INSERT INTO {} DEFAULT VALUES"])
async def test_a_reader_writes_nothing(connection: asyncpg.Connection, table: str, statement: str) -> None:
    await become(connection, "folio_reader", "1")
    with pytest.raises(DENIED):
        await connection.execute(statement.format(table))


@pytest.mark.parametrize("table", ["ops.lanes", "ops.dead_letters", "ops.outbox", "ops.operator_audit", "ops.jobs"])
async def test_a_reader_does_not_see_how_it_is_done(connection: asyncpg.Connection, table: str) -> None:
    await become(connection, "folio_reader", "1")
    with pytest.raises(DENIED):
        await connection.fetch(f"SELECT * FROM {table}")


async def test_every_table_with_tenants_money_has_its_policies_forced(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch(
        "SELECT oid::regclass::text, relrowsecurity AND relforcerowsecurity FROM pg_class "
        "WHERE relnamespace::regnamespace::text IN ('finance', 'event_store', 'read_models') "
        "AND relname NOT IN ('refreshes', 'chain_links') AND relkind IN ('r', 'p') AND NOT relispartition "
        "OR has_table_privilege('folio_reader', oid, 'SELECT') "
        "AND relnamespace::regnamespace::text = 'ops' ORDER BY 1"
    )
    assert [tuple(row) for row in rows] == [(table, True) for table in sorted(TENANT_TABLES)]


async def test_a_reader_learns_of_lanes_until_when_they_are_settled_and_no_more(connection: asyncpg.Connection) -> None:
    await become(connection, "folio_reader", "1")
    assert len(await connection.fetchval("SELECT ops.safe_watermarks()")) == 1
    with pytest.raises(DENIED):
        await connection.fetch("SELECT last_recorded_at FROM ops.lanes")


# --- writers ---


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM event_store.events",
        "UPDATE event_store.events SET outcome = 'stale'",
        "TRUNCATE event_store.events",
        "DELETE FROM event_store.snapshots",
        "DELETE FROM finance.daily_cash_balances_partitioned",
        "TRUNCATE finance.daily_cash_balances_partitioned",
        "UPDATE ops.dead_letters SET reason = 'none'",
        "DELETE FROM ops.dead_letters",
        "UPDATE ops.balance_adjustments SET cash_received_after_cents = 0",
        "UPDATE ops.balance_corrections SET reason = 'none'",
        "DELETE FROM ops.balance_corrections",
        "DELETE FROM ops.balance_adjustments",
        "DELETE FROM ops.lanes",
        "UPDATE finance.properties SET currency = 'USD'",
        "DELETE FROM finance.properties",
        "SELECT * FROM ops.operator_audit",
        "DELETE FROM ops.operator_audit",
        "INSERT INTO ops.operator_audit (who, command) VALUES ('asha', 'folio lanes')",
        "CREATE TABLE finance.mine (id int)",
        "CREATE TABLE ops.mine (id int)",
        "CREATE TABLE event_store.mine (id int)",
        "CREATE TABLE public.mine (id int)",
        "DELETE FROM public._pogo_migration",
        "DROP TABLE ops.outbox",
        "ALTER TABLE finance.revenues_partitioned DISABLE ROW LEVEL SECURITY",
        "SELECT ops.ensure_months('2031-01-01', 0, 0)",
        "SELECT ops.detach_month('event_store.events', date_trunc('month', now())::date, false)",
        "SELECT ops.set_aside_month('finance.revenues_partitioned', 'occurred_at', '2020-01-01', 1, false)",
        "SELECT ops.drop_expired_month('finance.revenues_partitioned', '2020-01-01')",
        "SELECT ops.begin_restore('event_store.events', 'recorded_at', '2020-01-01')",
        "DELETE FROM ops.expired_months",
        "INSERT INTO ops.expired_months (parent, month, to_archive) VALUES ('x', '2020-01-01', false)",
    ],
)
async def test_a_writer_cannot_rewrite_history_or_the_schema(connection: asyncpg.Connection, statement: str) -> None:
    await become(connection, "folio_writer")
    with pytest.raises(DENIED):
        await connection.execute(statement)


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_a_writer_serves_every_organisation(connection: asyncpg.Connection, table: str) -> None:
    await become(connection, "folio_writer")
    assert await orgs_in(connection, table) == [1, 2]


# --- operators ---


@pytest.mark.parametrize("table", [*TENANT_TABLES, "ops.dead_letters"])
async def test_an_operator_reads_everything(connection: asyncpg.Connection, table: str) -> None:
    await become(connection, "folio_operator")
    assert await orgs_in(connection, table) == [1, 2] if table in TENANT_TABLES else True
    await connection.fetch(f"SELECT * FROM {table}")
    with pytest.raises(DENIED):
        await connection.execute(f"DELETE FROM {table}")


async def test_an_operator_reads_the_lanes_and_signs_the_audit(connection: asyncpg.Connection) -> None:
    await become(connection, "folio_operator")
    assert len(await connection.fetch("SELECT * FROM ops.lanes")) == 1
    await connection.execute("INSERT INTO ops.operator_audit (who, command) VALUES ('asha', 'folio lanes')")
    with pytest.raises(DENIED):
        await connection.execute("UPDATE ops.lanes SET finance_position = 0")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO ops.operator_audit (who, command, login) VALUES ('asha', 'folio lanes', 'asha')",
        "INSERT INTO ops.operator_audit (who, command, at) VALUES ('asha', 'folio lanes', '2020-01-01')",
        "UPDATE ops.operator_audit SET who = 'nobody'",
        "DELETE FROM ops.operator_audit",
        "TRUNCATE ops.operator_audit",
    ],
)
async def test_an_operator_alters_no_entry_of_the_audit_and_forges_none(
    connection: asyncpg.Connection, statement: str
) -> None:
    await connection.execute("INSERT INTO ops.operator_audit (who, command) VALUES ('asha', 'folio lanes')")
    await become(connection, "folio_operator")
    with pytest.raises(DENIED):
        await connection.execute(statement)


@pytest.mark.parametrize("statement", ["UPDATE", "DELETE FROM", "TRUNCATE"])
async def test_not_even_the_owner_rewrites_the_audit_by_the_way(connection: asyncpg.Connection, statement: str) -> None:
    end = " SET who = 'nobody'" if statement == "UPDATE" else ""
    with pytest.raises(DENIED, match="append-only"):
        await connection.execute(f"{statement} ops.operator_audit{end}")


@pytest.mark.parametrize("statement", ["UPDATE", "DELETE FROM", "TRUNCATE"])
async def test_not_even_the_owner_rewrites_the_chain_by_the_way(connection: asyncpg.Connection, statement: str) -> None:
    end = " SET events = 0" if statement == "UPDATE" else ""
    with pytest.raises(DENIED, match="append-only"):
        await connection.execute(f"{statement} event_store.chain_links{end}")


async def test_an_entry_of_the_audit_has_the_login_that_the_database_knows(connection: asyncpg.Connection) -> None:
    login = await connection.fetchval("SELECT session_user")
    await become(connection, "folio_operator")
    await connection.execute("INSERT INTO ops.operator_audit (who, command) VALUES ('asha', 'folio lanes')")
    assert await connection.fetchval("SELECT login FROM ops.operator_audit WHERE who = 'asha'") == login


async def test_our_roles_cannot_log_in_and_pass_no_policies(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch(
        "SELECT rolname FROM pg_roles WHERE rolname IN ('folio_reader', 'folio_writer', 'folio_operator') "
        "AND NOT (rolcanlogin OR rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb)"
    )
    assert len(rows) == 3

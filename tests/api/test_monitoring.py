"""Partitions, counts and triggers over HTTP: every figure is SQL's, what is broken is found, and who may ask."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio

from pipeline.maintenance.partitions.state import EVENTS, EXPENSES, HASHED, MONTHLY, REVENUES
from pipeline.months import month_of, months_after, start_of
from tests.api.conftest import Served, Servers
from tests.api.issuing import Issuer
from tests.support.ledger import Ledger
from tests.support.stream import Stream

METRICS, CRON = "/monitoring/partitions/metrics", "/cron/partition-maintenance"
VERIFY, VERIFY_TOO = "/monitoring/verify-partitions", "/v1/system/monitoring/partitions/verify"
NOW = datetime.now(UTC)
THIS_MONTH = month_of(NOW)
_RUNS = (
    "SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database "
    "WHERE locktype = 'advisory' AND datname = current_database()"
)
NEXT, LAST = months_after(THIS_MONTH, 1), months_after(THIS_MONTH, 3)


@pytest_asyncio.fixture
async def admin(stream: Stream) -> AsyncIterator[asyncpg.Connection]:
    """A connection with every right to the stream's own database."""
    async with stream.database() as connection:
        await connection.execute("SET timezone = 'UTC'")
        yield connection


@pytest_asyncio.fixture
async def ledger(stream: Stream, admin: asyncpg.Connection) -> AsyncIterator[Ledger]:
    """Real books: three revenues and two expenses of two organisations."""
    ledger = Ledger(stream.endpoints.database_url, admin)
    ledger.clock.wall = NOW
    for lane in ledger.lanes.values():
        lane.appended_at = NOW
    await ledger.claim()
    await ledger.commit(
        ledger.event(1, at=NOW, amount=10),
        ledger.event(2, at=NOW - timedelta(days=40), amount=20),
        ledger.event(3, at=NOW, amount=30, org=2),
        ledger.event(4, kind="expense", at=NOW, amount=5),
        ledger.event(5, kind="expense", at=NOW, amount=5, org=2, status="deleted"),
    )
    yield ledger
    ledger.books.discard()


@pytest.fixture
def operator(issuer: Issuer) -> dict[str, str]:
    return issuer.bearer(roles=["operator"])


async def told(client: httpx.AsyncClient, path: str, operator: dict[str, str]) -> Any:
    answer = await client.get(path, headers=operator)
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.json()


async def rows_by_partition(admin: asyncpg.Connection) -> dict[str, int]:
    """Each partition that has rows, counted."""
    counted: dict[str, int] = {}
    for table in (*MONTHLY, *HASHED):
        rows = await admin.fetch(f"SELECT tableoid::regclass::text, count(*) FROM {table} GROUP BY 1")
        counted |= {row[0]: row[1] for row in rows}
    return counted


@pytest.mark.usefixtures("ledger")
async def test_the_figures_of_partitions_are_those_of_sql(
    served: Served, admin: asyncpg.Connection, operator: dict[str, str]
) -> None:
    await admin.execute("ANALYZE")
    async with served() as client:
        answer = await told(client, METRICS, operator)
        page = (await client.get(f"{METRICS}/prometheus", headers=operator)).text
    assert (answer["healthy"], answer["problems"]) == (True, [])
    sizes = await admin.fetch(
        "SELECT inhparent::regclass::text, relname, reltuples::bigint, pg_total_relation_size(c.oid) "
        "FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid WHERE c.relkind = 'r' "
        "AND inhparent::regclass::text = ANY ($1)",
        [*MONTHLY, *HASHED],
    )
    figures = [(each["table"], each["name"], each["rows_estimated"], each["bytes"]) for each in answer["partitions"]]
    assert sorted(figures) == sorted(tuple(row) for row in sizes)
    assert sum(rows for table, _, rows, _ in figures if table == REVENUES) == 3
    exact = {each["name"]: each["rows_exact"] for each in answer["partitions"] if each["rows_exact"] is not None}
    assert exact == {"revenues_default": 0, "expenses_default": 0, "events_default": 0}
    assert answer["hashed"] == [{"table": table, "partitions": 16} for table in HASHED]
    days = (start_of(months_after(LAST, 1)) - datetime.fromisoformat(answer["at"])) / timedelta(days=1)
    for table in answer["months"]:
        assert table == {
            "table": table["table"],
            "months_ahead": 3,
            "runway_days": pytest.approx(days, abs=0.001),
            "missing_months": [],
            "default_rows": 0,
            "cleanup_lag_months": 0,
            "waiting_months": 0,
        }
    assert {each["table"] for each in answer["months"]} == set(MONTHLY)
    bytes_of_events = next(size for table, name, _, size in figures if name == f"events_{THIS_MONTH:%Y_%m}")
    sample = f'folio_partition_bytes{{partition="events_{THIS_MONTH:%Y_%m}",table="{EVENTS}"}}'
    assert f"{sample} {float(bytes_of_events)}" in page
    assert 'folio_trigger_healthy{table="ops.operator_audit",trigger="append_only"} 1.0' in page


@pytest.mark.usefixtures("ledger")
async def test_every_row_is_counted_and_both_paths_say_the_same(
    served: Served, admin: asyncpg.Connection, operator: dict[str, str]
) -> None:
    async with served() as client:
        answer, again = await told(client, VERIFY, operator), await told(client, VERIFY_TOO, operator)
    assert answer | {"at": None} == again | {"at": None}
    assert (answer["healthy"], answer["problems"]) == (True, [])
    counted = {f"{each['table'].split('.')[0]}.{each['name']}": each["rows"] for each in answer["partitions"]}
    assert {name: rows for name, rows in counted.items() if rows} == await rows_by_partition(admin)
    assert all(each["well"] for each in answer["partitions"])
    assert [(each["table"], each["rows"], each["snapshots"], each["equal"]) for each in answer["parity"]] == [
        (REVENUES, 3, 3, True),
        (EXPENSES, 2, 2, True),
    ]
    edge = await admin.fetchval("SELECT ops.transactions_kept_since()")
    assert datetime.fromisoformat(answer["kept_since"]) == edge == start_of(months_after(THIS_MONTH, -24))
    assert answer["legacy"] == {"status": "absent", "tables": []}
    assert [each["healthy"] for each in answer["triggers"]] == [True, True]


@pytest.mark.usefixtures("ledger")
async def test_what_is_broken_is_told_in_words_and_figures(
    served: Served, admin: asyncpg.Connection, operator: dict[str, str]
) -> None:
    """Each kind of damage by itself: tests/maintenance/partitions/test_verifying.py."""
    away = f"finance.revenues_{THIS_MONTH:%Y_%m}"
    await admin.execute(f"ALTER TABLE {REVENUES} DETACH PARTITION {away}")
    await admin.execute(f"INSERT INTO {REVENUES} SELECT * FROM {away} WHERE id = 1; DROP TABLE {away}")
    await admin.execute("ALTER TABLE ops.operator_audit DISABLE TRIGGER append_only")
    trigger = "ops.operator_audit: the trigger append_only is switched off"
    async with served() as client:
        figures, verified = await told(client, METRICS, operator), await told(client, VERIFY, operator)
        page = (await client.get(f"{METRICS}/prometheus", headers=operator)).text
    assert (figures["healthy"], verified["healthy"]) == (False, False)
    assert figures["problems"] == [
        f"{REVENUES}: the present month is missing; run `folio partitions apply`",
        f"{REVENUES}: 1 rows in the default partition; run `folio partitions apply`",
        trigger,
    ]
    (months,) = (each for each in figures["months"] if each["table"] == REVENUES)
    assert (months["months_ahead"], months["runway_days"], months["default_rows"]) == (-1, 0, 1)
    assert months["missing_months"] == [f"{THIS_MONTH:%Y-%m}"]
    assert {each["name"]: each["rows_exact"] for each in figures["partitions"]}["revenues_default"] == 1
    assert verified["problems"] == [
        f"{REVENUES}: no partition for {THIS_MONTH:%Y-%m}; run `folio partitions apply`",
        "revenues_default: 1 rows in the default partition; run `folio partitions apply`",
        f"{REVENUES}: 2 rows for 3 snapshots; run `folio check` to see which",
        trigger,
    ]
    assert [each["name"] for each in verified["partitions"] if not each["well"]] == ["revenues_default"]
    assert [each["equal"] for each in verified["parity"]] == [False, True]
    for answer in (figures, verified):
        assert [each["table"] for each in answer["triggers"] if not each["healthy"]] == ["ops.operator_audit"]
    assert 'folio_trigger_healthy{table="ops.operator_audit",trigger="append_only"} 0.0' in page
    assert f'folio_partition_default_rows{{table="{REVENUES}"}} 1.0' in page


async def test_legacy_tables_are_told_when_there_are_some(
    served: Served, admin: asyncpg.Connection, operator: dict[str, str]
) -> None:
    await admin.execute("CREATE TABLE public.revenues AS SELECT generate_series(1, 7) AS id; ANALYZE public.revenues")
    await admin.execute("CREATE VIEW public.expenses_legacy AS SELECT 1 AS id")
    async with served() as client:
        answer = await told(client, VERIFY, operator)
    tables = [(each["name"], each["origin"], each["is_view"], each["rows"]) for each in answer["legacy"]["tables"]]
    assert (answer["legacy"]["status"], tables) == (
        "present",
        [("public.expenses_legacy", "expenses", True, None), ("public.revenues", "revenues", False, 7)],
    )


async def test_operators_alone_may_ask(served: Served, issuer: Issuer) -> None:
    async with served() as client:
        looks = [("GET", path) for path in (METRICS, f"{METRICS}/prometheus", VERIFY, VERIFY_TOO)]
        for method, path in [*looks, ("POST", CRON)]:
            assert (await client.request(method, path)).status_code == httpx.codes.UNAUTHORIZED
            for roles in (["reader"], ["writer"], ["reader", "writer"], []):
                answer = await client.request(method, path, headers=issuer.bearer(1, roles=roles))
                assert (answer.status_code, "operator" in answer.json()["detail"]) == (httpx.codes.FORBIDDEN, True)


async def test_a_run_makes_a_month_once_it_was_planned(
    served: Served, admin: asyncpg.Connection, operator: dict[str, str]
) -> None:
    await admin.execute(f"DROP TABLE finance.revenues_{NEXT:%Y_%m}")
    words = f"make {NEXT:%Y-%m} of {REVENUES}"
    async with served() as client:
        assert not (await told(client, METRICS, operator))["healthy"]
        planned = await client.post(CRON, params={"plan": "true"}, headers=operator)
        assert planned.status_code == httpx.codes.OK, planned.text
        step = {"step": "MakeMonth", "words": words, "table": REVENUES, "month": f"{NEXT}"}
        assert planned.json() == {"planned": True, "steps": [step | {"rows": None, "seconds": None}]}
        assert await _month_is_there(admin) is False, "a plan changes nothing"
        expiring = await client.post(CRON, params={"only": "expire"}, headers=operator)
        assert (expiring.json(), await _month_is_there(admin)) == ({"planned": False, "steps": []}, False)
        done = await client.post(CRON, headers=operator)
        assert done.status_code == httpx.codes.OK, done.text
        (made,) = done.json()["steps"]
        assert made == step | {"rows": 0, "seconds": made["seconds"]}
        assert made["seconds"] > 0
        assert await _month_is_there(admin)
        again = await client.post(CRON, headers=operator)
        assert again.json() == {"planned": False, "steps": []}
        assert (await told(client, METRICS, operator))["healthy"]
    ((who, command, did),) = await admin.fetch("SELECT who, command, detail->>'step' FROM ops.operator_audit")
    assert (who.split(" ")[0], command, did) == ("7", "partitions apply", words)


async def test_what_is_past_retention_is_archived_and_dropped(
    served: Served, stream: Stream, admin: asyncpg.Connection, ledger: Ledger, operator: dict[str, str]
) -> None:
    old = months_after(THIS_MONTH, -26)
    await admin.execute("SELECT ops.ensure_month($1::text::regclass, 'occurred_at', $2)", REVENUES, old)
    await admin.execute(
        f"INSERT INTO {REVENUES} VALUES (1, 9, $1, 1, '2026-03-10', 5, 'INR', 'cash', 'approved', NULL, NULL, NULL, "
        "NULL, 1, 7, now(), 7, now(), now())",
        start_of(old),
    )
    assert ledger.lane_count == 2, "its newest record is of now: two years before that is retention's edge"
    archives = stream.folder / "archives"
    archives.mkdir()
    async with served(PARTITIONS_ARCHIVE_DIR=str(archives)) as client:
        lag = {each["table"]: each["cleanup_lag_months"] for each in (await told(client, METRICS, operator))["months"]}
        assert lag == {REVENUES: 1, EXPENSES: 0, EVENTS: 0}
        done = await client.post(CRON, params={"only": "expire"}, headers=operator)
        steps = [(each["step"], each["rows"]) for each in done.json()["steps"]]
        assert steps == [("DetachMonth", 0), ("ArchiveMonth", 1), ("DropMonth", 1)], done.text
        assert (await told(client, VERIFY, operator))["healthy"]
    assert [f"{old:%Y-%m}" in path.name for path in archives.iterdir()] == [True]


async def _month_is_there(admin: asyncpg.Connection) -> bool:
    there: bool = await admin.fetchval("SELECT to_regclass($1) IS NOT NULL", f"finance.revenues_{NEXT:%Y_%m}")
    return there


async def test_switched_off_it_changes_nothing_and_still_plans(
    served: Served, admin: asyncpg.Connection, operator: dict[str, str]
) -> None:
    await admin.execute(f"DROP TABLE finance.revenues_{NEXT:%Y_%m}")
    async with served(FLAGS_ENABLE_PARTITION_MAINTENANCE="off") as client:
        refused = await client.post(CRON, headers=operator)
        assert refused.status_code == httpx.codes.CONFLICT
        assert "FOLIO_FLAGS_ENABLE_PARTITION_MAINTENANCE is off" in refused.json()["detail"]
        planned = await client.post(CRON, params={"plan": "true"}, headers=operator)
        assert len(planned.json()["steps"]) == 1
    assert not await _month_is_there(admin)


@pytest.mark.usefixtures("ledger")
async def test_a_server_that_would_keep_less_than_the_workers_takes_nothing_away(
    served: Served, operator: dict[str, str]
) -> None:
    async with served(BATCH_RETENTION_MONTHS="12") as client:
        for query in ({"only": "expire"}, {"plan": "true"}):
            refused = await client.post(CRON, params=query, headers=operator)
            assert refused.status_code == httpx.codes.NOT_IMPLEMENTED
            assert refused.json()["detail"].startswith(
                "FOLIO_BATCH_RETENTION_MONTHS is 12 here, and the workers keep 24"
            )
            assert "FOLIO_API_" not in refused.json()["detail"], "it is not about the login"
        (problem,) = (await told(client, METRICS, operator))["problems"]
        assert problem.startswith("FOLIO_BATCH_RETENTION_MONTHS is 12 here")
        assert (await client.post(CRON, params={"only": "create"}, headers=operator)).json()["steps"] == []


async def test_of_twins_one_runs_and_customers_go_on_meanwhile(
    served: Served, stream: Stream, admin: asyncpg.Connection, operator: dict[str, str]
) -> None:
    await admin.execute(f"DROP TABLE finance.revenues_{NEXT:%Y_%m}")
    async with served() as client, stream.database() as holder:
        blocking = holder.transaction()
        await blocking.start()
        await holder.execute("LOCK TABLE finance.revenues_default IN ACCESS SHARE MODE")
        first = asyncio.create_task(client.post(CRON, headers=operator))
        while not await admin.fetchval(_RUNS):
            await asyncio.sleep(0.02)
        twin = await client.post(CRON, headers=operator)
        assert twin.status_code == httpx.codes.CONFLICT, twin.text
        assert "another run is at work" in twin.json()["detail"]
        assert (await client.get("/v1/orgs/1/properties/1/balances/2026-01-01", headers=operator)).status_code == 404
        assert not first.done()
        await blocking.rollback()
        assert [step["step"] for step in (await first).json()["steps"]] == ["MakeMonth"]
    assert await _month_is_there(admin)


async def test_a_server_that_is_told_to_stop_ends_its_run(
    servers: Servers, stream: Stream, admin: asyncpg.Connection, operator: dict[str, str]
) -> None:
    await admin.execute(f"DROP TABLE finance.revenues_{NEXT:%Y_%m}")
    async with servers(API_SHUTDOWN_GRACE_SECONDS="1") as server, stream.database() as holder, holder.transaction():
        await holder.execute("LOCK TABLE finance.revenues_default IN ACCESS SHARE MODE")
        asked = asyncio.create_task(server.client.post(CRON, headers=operator))
        while not await admin.fetchval(_RUNS):
            await asyncio.sleep(0.02)
        server.signal(signal.SIGTERM)
        assert await server.ended() == 0, server.log.read_text()
        with contextlib.suppress(httpx.TransportError):
            assert (await asked).status_code != httpx.codes.OK
        assert not await admin.fetchval(_RUNS), "the next one may run"
    assert not await _month_is_there(admin)


async def test_a_run_that_gets_no_lock_says_who_has_it(
    served: Served, stream: Stream, admin: asyncpg.Connection, operator: dict[str, str]
) -> None:
    await admin.execute(f"DROP TABLE finance.revenues_{NEXT:%Y_%m}")
    async with served(PARTITIONS_LOCK_ATTEMPTS="1") as client, stream.database() as holder, holder.transaction():
        await holder.execute("LOCK TABLE finance.revenues_default IN ACCESS SHARE MODE")
        refused = await client.post(CRON, headers=operator)
    assert refused.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert "no lock in 1 attempts of 200 ms" in refused.json()["detail"]


async def test_counting_has_a_bound(served: Served, stream: Stream, operator: dict[str, str]) -> None:
    async with served(API_COUNT_SECONDS_MAX="0.3") as client, stream.database() as holder, holder.transaction():
        await holder.execute(f"LOCK TABLE {REVENUES} IN ACCESS EXCLUSIVE MODE")
        refused = await client.get(VERIFY, headers=operator)
    assert refused.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert "not counted within 0.3 s (FOLIO_API_COUNT_SECONDS_MAX)" in refused.json()["detail"]


async def test_who_asks_while_rows_are_counted_gets_the_same_answer(
    served: Served, stream: Stream, admin: asyncpg.Connection, operator: dict[str, str]
) -> None:
    async with served() as client, stream.database() as holder:
        blocking = holder.transaction()
        await blocking.start()
        await holder.execute(f"LOCK TABLE {EVENTS} IN ACCESS EXCLUSIVE MODE")
        asked = [asyncio.create_task(client.get(VERIFY, headers=operator)) for _ in range(5)]
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'folio serve' AND datname = $1"
        database = await admin.fetchval("SELECT current_database()")
        while not await admin.fetchval(waiting, database):
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)  # time for the others to come
        assert await admin.fetchval(waiting, database) == 1
        await blocking.rollback()
        assert len({(await each).text for each in asked}) == 1


@asynccontextmanager
async def _logins(stream: Stream, admin: asyncpg.Connection) -> AsyncIterator[dict[str, str]]:
    """Addresses of the stream's database by logins of one right each."""
    name = await admin.fetchval("SELECT current_database()")
    names = {kind: f"{name}_{kind}" for kind in ("reader", "operator")}
    for kind, login in names.items():
        await admin.execute(f"CREATE ROLE {login} LOGIN IN ROLE folio_{kind}")
    url = stream.endpoints.database_url
    at = url.index("@")
    try:
        yield {kind: f"postgresql://{login}{url[at:]}" for kind, login in names.items()}
    finally:
        for login in names.values():
            await admin.execute(f"DROP ROLE {login}")


@pytest.mark.usefixtures("ledger")
async def test_a_server_that_reads_by_a_readers_login_says_which_one_is_missing(
    served: Served, stream: Stream, admin: asyncpg.Connection, operator: dict[str, str]
) -> None:
    async with _logins(stream, admin) as logins:
        async with served(DATABASE_URL=logins["reader"]) as client:
            for path in (METRICS, f"{METRICS}/prometheus", VERIFY, VERIFY_TOO):
                refused = await client.get(path, headers=operator)
                assert refused.status_code == httpx.codes.NOT_IMPLEMENTED, refused.text
                assert "grant folio_operator to the login of FOLIO_DATABASE_URL" in refused.json()["detail"]
                assert "FOLIO_API_OPERATOR_DATABASE_URL" in refused.json()["detail"]
            for query in ({}, {"plan": "true"}):
                refused = await client.post(CRON, params=query, headers=operator)
                assert refused.status_code == httpx.codes.NOT_IMPLEMENTED, refused.text
            balance = f"/v1/orgs/1/properties/1/balances/{NOW.date()}"
            assert (await client.get(balance, headers=operator)).status_code == httpx.codes.OK
        named = {"DATABASE_URL": logins["reader"], "API_OPERATOR_DATABASE_URL": logins["operator"]}
        async with served(**named) as client:
            assert (await told(client, METRICS, operator))["healthy"]
            counted = await told(client, VERIFY, operator)
            assert (counted["healthy"], counted["parity"][0]["rows"]) == (True, 3), "row security hides nothing from it"
            assert (await client.post(CRON, params={"plan": "true"}, headers=operator)).json()["steps"] == []
            refused = await client.post(CRON, headers=operator)
            assert refused.status_code == httpx.codes.NOT_IMPLEMENTED
            assert "FOLIO_API_OWNER_DATABASE_URL" in refused.json()["detail"]
        named |= {"API_OWNER_DATABASE_URL": stream.endpoints.database_url}
        await admin.execute(f"DROP TABLE finance.revenues_{NEXT:%Y_%m}")
        async with served(**named) as client:
            assert len((await client.post(CRON, headers=operator)).json()["steps"]) == 1
            owners = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'folio serve partitions'"
            assert not await admin.fetchval(owners), "the owner's connection ends with the call"


async def test_an_operators_login_that_nobody_knows_is_no_secret_told(
    served: Served, stream: Stream, operator: dict[str, str]
) -> None:
    url = stream.endpoints.database_url
    stranger = f"postgresql://stranger:hunter2{url[url.index('@') :]}"
    async with served(API_OPERATOR_DATABASE_URL=stranger) as client:
        refused = await client.get(METRICS, headers=operator)
    assert refused.status_code == httpx.codes.NOT_IMPLEMENTED, refused.text
    assert "hunter2" not in refused.text

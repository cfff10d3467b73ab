"""How PostgreSQL runs every query of ours, with realistic tables, on a connection as the worker opens it.

Index scans only, one hash partition for one organisation, one or two months for one day; and no index without a query.
Most of this file is the list of cases: each query is in it once, and a test holds the list against the folder.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

import sql
from pipeline.settings import DatabaseSettings
from pipeline.stack.postgres import USER
from pipeline.storage.connect import connect_writer

OPERATOR = "folio_operator"
OWNER = "none"  # the login itself: who owns the tables
READER = "folio_reader"
UUID = "'00000000-0000-0000-0000-000000000001'::uuid"


@dataclass(frozen=True)
class Case:
    """The arguments of a query, and how many partitions of each table it may touch."""

    arguments: str = ""
    partitions: int = 0
    role: str = "folio_writer"
    by_sets: bool = False  # reads slices of whole tables, as no worker does: for who rebuilds, beside the workers


# A month that is there, whenever this runs.
_A_MONTH = "'finance.revenues_partitioned', date_trunc('month', current_date)::date"
_AN_OLD_MONTH = "'event_store.events', 'recorded_at', '2021-03-01'"
_MOVED = "'{7}', '{7}', ARRAY[(current_date - 7)::timestamp AT TIME ZONE 'UTC']"  # a place that a row leaves
_SLICE = "6, 7, NULL"
# Organisation 7 is an ordinary one; lanes 1 and 2 exist. Every file in queries/ has its case here.
CASES = {
    "advisory_unlock": Case("7", role=OPERATOR),
    "balance_of_day": Case("7, 1, current_date", partitions=1, role=READER),
    "balances_of_org": Case("7, '{1,2}', current_date - 30, NULL, 10001", partitions=1, role=READER),
    "balances_of_range": Case("7, 1, current_date - 30, current_date, NULL, 32", partitions=1, role=READER),
    "newest_balance": Case("7, 1, current_date, 'folio_reader', '1000'", role=READER),  # its function: see below
    # Of its own tables: properties, balances, one or two months of each kind and the users of either.
    "daily_report": Case("7, 1, current_date - 40, 101", partitions=8, role=READER),
    "enter_org": Case("'folio_reader', 7, '5000'"),
    # What changed since is looked for in every month that may hold it, and snapshots are read twice.
    "booked_as_recorded": Case("7, 1, current_date, now() - interval '1 hour', 100", partitions=8, role=READER),
    "expense_by_id": Case("7, 7", partitions=4, role=READER),
    "history_of_transaction": Case("7, 7, 'revenue', 0, 101", partitions=5, role=READER),
    "latest_balance": Case("7, 1, current_date", partitions=1, role=READER),
    "org_overview": Case("7, 0, current_date, 101", partitions=2, role=READER),
    "revenue_by_id": Case("7, 7", partitions=4, role=READER),
    "safe_watermarks": Case("7", role=READER),
    "upsert_users": Case("'{7,7}', '{7,999999}', '{Asha,Ravi}', now()"),
    "advance_lane": Case(
        f"1, {UUID}, 5, 4, now(), '\\x00', 5, 4, now(), '\\x00', now(), 3, '\\x00', 9, 1, 1, 1, 1, 1, 1, 1, 7"
    ),
    "append_adjustments": Case(
        f"'{{7}}', '{{1}}', ARRAY[current_date], ARRAY[{UUID}], " + "'{1}', " * 8 + "ARRAY[now()]"
    ),
    "append_chain_links": Case(
        f"1, 999999, {UUID}, 1, '1-1', 1, 0, now(), now(), '\\x00', decode(repeat('00', 32), 'hex')"
    ),
    "append_corrections": Case(
        "'{7}', ARRAY[gen_random_uuid()], '{1}', ARRAY[current_date], '{recompute}', '{NULL}', '{1}', "
        "ARRAY['\\x00'::bytea], '{1}', '{9}', '{9}', ARRAY[now()], ARRAY[now()], ARRAY[now()], '{7}', '{x}', "
        "ARRAY['\\x00'::bytea], ARRAY[NULL::bytea]"
    ),
    "append_dead_letters": Case("'t', 1, 999999, 'schema', 'x', now(), now(), NULL, NULL, NULL, 7"),
    "append_events": Case(),
    "append_operator_audit": Case("'me', 'dlq redrive', '{}'", role="folio_operator"),
    "append_redrives": Case("'me', '{t}', '{1}', '{1}', '{1}', '{999999}'"),
    "append_outbox": Case(f"1, 999999, {UUID}, now(), 1, '\\x00', 1, 1000, NULL"),
    "begin_restore": Case("'event_store.events', 'recorded_at', '2031-03-01'", role=OWNER),
    "bound_step": Case("'200ms', '10s'", role=OPERATOR),
    "batch_outbox": Case(f"'{{1,2}}', {UUID}"),
    "change_properties": Case("'{7}', '{1}', '{Palace}', '{INR}', '{0}'", role=OPERATOR),
    "begin_job": Case(f"{UUID}, 'rebuild balances', '{{}}'", role=OPERATOR),
    "claim_lane": Case("1, 'me', 24"),
    "begin_reading": Case("7, '5000', '10000', 'folio_reader'"),
    "booked_figures": Case("'{7}', '{1}', ARRAY[current_date]", partitions=3),
    "cluster_epoch": Case(),
    "count_dead_letters": Case("now(), 'day'"),
    "count_lanes": Case(),
    "default_months": Case(role=OPERATOR),
    "detach_month": Case(f"{_A_MONTH}, false", role=OWNER),
    "drop_expired_month": Case("'finance.revenues_partitioned', '2021-03-01'", role=OWNER),
    "delete_moved_expenses": Case(_MOVED, partitions=1),
    "delete_moved_revenues": Case(_MOVED, partitions=1),
    # Its last argument makes the table that it attaches.
    "end_restore": Case(f"{_AN_OLD_MONTH}, ops.begin_restore({_AN_OLD_MONTH})::bytea", role=OWNER),
    "drop_replica_slot": Case("'no_such_slot'", role=USER),
    "delete_users": Case("'{7,7}', '{7,999999}'", partitions=1),
    "delete_orphaned_snapshots": Case("'{7}', '{revenue}', '{7}'"),
    "ensure_lanes": Case("8"),
    "ensure_month": Case("'event_store.events', 'recorded_at', '2031-03-01'", role=OWNER),
    "expenses_of_day": Case("7, 1, current_date - 40, NULL, NULL, 101", partitions=3, role=READER),
    "extend_pauses": Case("3, 8", role=OPERATOR),
    "finance_positions": Case(role=READER),
    "outcomes_of_records": Case(
        # Two months of events, the organisation's balances and snapshots.
        "7, 't', '{1}', '{7}', '{revenue}', '{7}', '{1}'",
        partitions=4,
        role=READER,
    ),
    "read_mark": Case(role=READER),
    "fence": Case("'{1,2}'"),
    "grow_lanes": Case("8, now(), 5"),
    "lane_status": Case(),
    "lanes_began": Case(role=OPERATOR),
    "latest_booked": Case("'{7}'", role=OPERATOR),
    "letters_to_redrive": Case("'t', 1, 400, 't', '{schema}', NULL, 100, 1000"),
    "list_dead_letters": Case("NULL, now(), 't', 1, 400, 't', NULL, '{schema}', 50"),
    "list_properties": Case("7, 0, 9000, 100", role=OPERATOR),
    "load_properties": Case("'{7,999999}', '{1,1}', '{NULL,NULL}', '{INR,INR}', '{0,0}', now()", role=OPERATOR),
    "longest_transactions": Case(role=OPERATOR),
    # Of catalogs alone; and every row of every partition, for operators who ask for exactly that.
    "legacy_tables": Case(role=OPERATOR),
    "triggers": Case(role=OPERATOR),
    "count_partitions": Case(by_sets=True, role=OPERATOR),
    "missing_months": Case("current_date, 24, 3", role=OPERATOR),
    "bound_lock_waits": Case("'200ms'", role=OWNER),
    "lock_lanes": Case(),
    "lock_holders": Case("'event_store.events'", role=OPERATOR),
    "mark_lane": Case("1, 0, 5, 5"),
    "newest_append": Case(role=OPERATOR),
    "lock_rebuilds": Case(role=OPERATOR),
    "newest_job": Case("'rebuild balances'", role=OPERATOR, by_sets=True),
    "newest_rules": Case(),
    "note_rebuild": Case("1, 1001, now()"),
    "note_refresh": Case("'{1,2}', ARRAY[now(), now()]"),
    "opening_cash": Case("'{7}', '{1}'"),
    "keep_versions": Case("now() - interval '1 day', now()", by_sets=True, role=OWNER),
    "probe_versions": Case("'{7}', '{revenue}', '{7}', '{1}'", partitions=6),  # five of months, and what was archived
    "reader_role": Case(),
    "read_balances": Case("'{7}', '{1}', ARRAY[current_date - 3], 50000", partitions=1),
    "read_corrections": Case(f"'{{7}}', ARRAY[{UUID}]"),
    "read_dead_letter": Case("'t', 1, 400"),
    "count_paused_org": Case("1, 1", role=OPERATOR),
    "lane_pauses": Case("'{1,2}'"),
    "lock_every_lane": Case(role=OPERATOR),
    "open_pauses": Case(role=OPERATOR),
    "owns_tables": Case("'{event_store.events}'", role=OPERATOR),
    "partitions": Case("'{event_store.events,event_store.snapshots}'", role=OPERATOR),
    "pause_lane": Case("1, 'me', 'x', NULL"),
    "pause_org": Case(f"{UUID}, 7, 'me', 'x'", role=OPERATOR),
    "paused_orgs": Case("'{7}'"),
    "read_letters": Case("1, '{7,8}'"),
    "read_outbox": Case("1, 500, 4000000"),
    "read_properties": Case("'{7,8}', '{1,1}'"),
    "read_snapshots": Case("'{7,7}', '{revenue,expense}', '{7,7}'", partitions=1),
    "record_archive": Case("'event_store.events', '2021-03-01', now(), 'x', '\\x00', 7", role=OWNER),
    "read_refreshes": Case(by_sets=True),
    "rebuild_booked": Case("'{7}', '{1}'", partitions=18),  # each of the 16 of snapshots is entered by its key
    "rebuild_drifted": Case(_SLICE, by_sets=True),
    "rebuild_events": Case(_SLICE, by_sets=True),
    "rebuild_later_events": Case("'{7}', '{revenue}', '{7}', now() - interval '1 hour'", partitions=7),
    "rebuild_later_names": Case("'{7}', now() - interval '1 hour'", partitions=7),
    "rebuild_names": Case(f"{_SLICE}, '-infinity'", by_sets=True),
    "rebuild_slices": Case("0, 1000, 2", by_sets=True),
    "rebuild_standing": Case(_SLICE, by_sets=True),
    "rebuild_users": Case(_SLICE, by_sets=True),
    "rebuild_watermarks": Case(),
    "record_job": Case(f"{UUID}, 'done', '{{}}', NULL", role=OPERATOR),
    "refresh_daily_reports": Case(f"{_SLICE}, NULL", by_sets=True),
    "refresh_monthly_summaries": Case(f"{_SLICE}, NULL", by_sets=True),
    "touched_orgs": Case("'{1}', ARRAY[now()], now()", by_sets=True),
    "replace_snapshots": Case(),
    "store_is_whole": Case(by_sets=True),
    "version_bound": Case(by_sets=True),
    "record_rules": Case("1, 5, 5, interval '1 day', interval '1 day', 'INR', 'UTC', 'register', 8"),
    "recorded_retention": Case(role=OPERATOR),
    "recording_instant": Case("'{1,2}'", role=OPERATOR),
    "register_properties": Case("'{999999}', '{1}', '{INR}', 'UTC', now()"),
    "revenues_of_day": Case("7, 1, current_date - 40, NULL, NULL, 101", partitions=3, role=READER),
    "revise_properties": Case("'{1,2}', now()", role=OPERATOR),
    "replayed_position": Case(),
    "replica_slot": Case("'no_such_slot'", role=USER),
    "resume_lane": Case("1", role=OPERATOR),
    "resume_org": Case("7, 'me'", role=OPERATOR),
    "set_aside_month": Case("'event_store.events', 'recorded_at', '2020-03-01', 100, true", role=OWNER),
    "server_position": Case(),
    "set_position": Case("1, 5, NULL"),
    "stamp_homes": Case("'{1,2}', now()"),
    "standing_properties": Case("'{7,8}', '{1,1}'", role=OPERATOR),
    "stop_lane": Case("1, 0, 'x'"),
    "trim_outbox": Case("1"),
    "try_advisory_lock": Case("7", role=OPERATOR),
    "waiting_months": Case(role=OPERATOR),
    "append_report": Case(f"{UUID}, 'night_audit', '{{}}'", role=OPERATOR),
    "lock_checks": Case(role=OPERATOR),
    "record_drifts": Case(
        f"ARRAY[{UUID}], '{{balance}}', '{{7}}', '{{x}}', '{{missing}}', ARRAY[NULL], '{{\"{{}}\"}}', now(), {UUID}",
        role=OPERATOR,
    ),
    "store_begins": Case(role=OPERATOR),
    "transactions_kept_since": Case(role=OPERATOR),
    "append_balances": Case(),
    "append_expenses": Case(),
    "append_revenues": Case(),
    "append_snapshots": Case(),
    "upsert_balances": Case(),
    "upsert_expenses": Case(),
    "upsert_revenues": Case(),
    "upsert_snapshots": Case(),
    "upsert_time_zones": Case("'{7}', '{1}', ARRAY[now()], '{UTC}'", role=OPERATOR),
}
# What reads tables from end to end, in slices, and is planned as sets: tests/consistency/test_plans.py.
OF_CHECKS = {
    "count_checked",
    "count_drifts",
    "drifted_balances",
    "drifted_orgs_of_slice",
    "estimate_transactions",
    "find_nightly",
    "last_check",
    "newest_check",
    "open_drifts",
    "orgs_of_slice",
    "orgs_recorded_since",
    "settle_drifts",
    "sum_nightly",
    "prefer_hashing",
    "suspect_orgs_by_days",
    "suspect_orgs_by_events",
    "suspect_orgs_by_rows",
    "worst_nightly",
    "zones_in_force",
}
FILES = {path.stem for path in (Path(sql.__file__).parent / "queries").glob("*.sql")} - {"create_staging"}

# Keys that keep rows apart and that no query looks up yet, and what waits for its query. Strict: once used, it must go.
KEYS_ALONE = {
    "event_store.chain_links_pkey": "a lane has one link of each number; folio verify-chain reads them in order",
    "ops.reports_pkey": "a report has one row",
    "ops.drifts_pkey": "a drift has one row",
    "ops.night_audit_days_pkey": "a finding has one row, and the report's are read by it (tests/consistency)",
    "ops.operator_audit_pkey": "an entry has one row",
    "ops.org_pauses_pkey": "a pause has one row, and its positions refer to it",
}

_FILL = """
INSERT INTO ops.lanes (lane, finance_position) SELECT lane, 0 FROM generate_series(0, 7) AS lane;
UPDATE ops.lanes SET outbox_seq = 1000, published_seq = 10, invalidated_seq = 10;
INSERT INTO ops.lane_rules (lane, finance_position, corrections_position, past_max, future_max, default_currency,
    default_time_zone, unknown_property, lane_count)
SELECT lane, n * 100, 0, '1 day', '1 day', 'INR', 'UTC', 'register', 8
FROM generate_series(0, 7) AS lane, generate_series(0, 99) AS n;
INSERT INTO ops.outbox SELECT lane, seq, gen_random_uuid(), now(), 1, '\\x00'
FROM generate_series(0, 7) AS lane, generate_series(1, 1000) AS seq;
INSERT INTO ops.dead_letters SELECT 't', lane, n, 'schema', 'x', now(), now()
FROM generate_series(0, 7) AS lane, generate_series(1, 500) AS n;
INSERT INTO ops.balance_corrections
SELECT org, CASE WHEN n = 0 THEN '00000000-0000-0000-0000-000000000001' ELSE gen_random_uuid() END, 1, current_date - n,
       'figures', NULL, 1, '\\x00', 1, n, 0, now(), now(), now(), 7, 'x', '\\x00', NULL
FROM generate_series(1, 300) AS org, generate_series(0, 9) AS n;
INSERT INTO ops.balance_adjustments (
    org_id, property_id, balance_date, correction_id, cash_received_before_cents, bank_received_before_cents,
    cash_expenses_before_cents, bank_expenses_before_cents, cash_received_after_cents, bank_received_after_cents,
    cash_expenses_after_cents, bank_expenses_after_cents, recorded_at)
SELECT org_id, property_id, balance_date, correction_id, 0, 0, 0, 0, 1, 1, 1, 1, now() FROM ops.balance_corrections
WHERE correction_id <> '00000000-0000-0000-0000-000000000001';
INSERT INTO finance.properties SELECT org, 1, NULL, 'INR', 0, true, now() FROM generate_series(1, 3000) AS org;
INSERT INTO finance.property_time_zones
SELECT org, 1, '0001-01-01 00:00:00+00', 'Asia/Kolkata' FROM generate_series(1, 3000) AS org;
INSERT INTO finance.daily_cash_balances_partitioned
SELECT org, 1, current_date - day, 1, 0, 5, 0, 0, 0, 5, NULL, 5, 0, NULL, now()
FROM generate_series(1, 600) AS org, generate_series(0, 59) AS day;
INSERT INTO event_store.snapshots
SELECT org, kind, n * 3000 + org, 1, 1, '\\x00', 1, now(), current_date, 'cash', 'approved', 5, 5, now(), 7, now(), 7,
       now()
FROM generate_series(1, 3000) AS org, (VALUES ('revenue'), ('expense')) AS k (kind), generate_series(0, 4) AS n;
INSERT INTO event_store.events
SELECT now(), 1, n, org, 'revenue', n * 3000 + org, 1, 'revenue.created', gen_random_uuid(), 1, current_date, now(),
       now(), 'applied', 1, '\\x00', '\\x00', NULL
FROM generate_series(1, 3000) AS org, generate_series(0, 4) AS n;
INSERT INTO ops.archived_versions
SELECT org_id, aggregate_id, version, hash_version, aggregate_type, content_hash FROM event_store.events;
INSERT INTO ops.expired_months (parent, month, detached_at, to_archive, dropped_at)
SELECT 'event_store.events', '1990-01-01'::date + make_interval(months => n), now(), false, now()
FROM generate_series(1, 300) AS n;
INSERT INTO ops.expired_months (parent, month, to_archive) VALUES ('finance.revenues_partitioned', '2021-03-01', false);
CREATE TABLE finance.revenues_2021_03_expired (LIKE finance.revenues_partitioned);
INSERT INTO finance.revenues_partitioned
SELECT org, day, (current_date - day)::timestamp AT TIME ZONE 'UTC', 1, current_date - day, 5, 'INR', 'cash',
       'approved', NULL, NULL, NULL, NULL, 1, 7, now(), 7, now(), now()
FROM generate_series(1, 300) AS org, generate_series(0, 99) AS day;
INSERT INTO finance.expenses_partitioned SELECT * FROM finance.revenues_partitioned;
INSERT INTO read_models.users
SELECT org, user_id, 'Asha', now() FROM generate_series(1, 3000) AS org, generate_series(1, 10) AS user_id;
ANALYZE;
"""
# A batch of organisation 7 with one known transaction of each kind, and one new of each.
_STAGE = """
INSERT INTO staging_events
SELECT now(), 1, n, 7, kind, id, 2, kind || '.updated', gen_random_uuid(), 1, current_date, now(), now(), 'applied', 1,
       '\\x00', '\\x00', NULL, booking, true, 'cash', 'approved', 5, 5,
       'INR', NULL, NULL, NULL, NULL, now(), 7, now(), 7
FROM (VALUES (1, 'revenue'), (3, 'expense')) AS k (first, kind),
     (VALUES (0, 7, 'known'), (1, 999999, 'new')) AS b (step, id, booking),
     LATERAL (SELECT first + step AS n) AS place;
INSERT INTO staging_balances
SELECT 7, property, current_date, version, 0, 6, 0, 0, 0, 6, NULL, 6, 0, NULL, now()
FROM (VALUES (1, 2), (999999, 1)) AS k (property, version);
"""


@dataclass(frozen=True)
class Plan:
    """What a query did: each scan with its table, and the indexes it went by."""

    scans: list[tuple[str, str, bool]]  # kind, table, whether it ran
    indexes: set[str]
    unentered: set[str]  # indexes of the large tables whose first column no condition names
    text: str


@pytest_asyncio.fixture(scope="module")
async def plans(module_database: str) -> AsyncIterator[dict[str, Plan]]:
    """Every query, run once as the worker runs it."""
    admin = await asyncpg.connect(module_database)
    await admin.execute(_FILL)
    indexes = await _known_indexes(admin)
    await admin.close()
    worker = await connect_writer(module_database, DatabaseSettings(), "test")
    try:
        yield {name: await _explained(worker, sql.query(name), case, indexes) for name, case in CASES.items()}
    finally:
        await worker.close()


async def _known_indexes(admin: asyncpg.Connection) -> dict[str, tuple[str, str]]:
    """Plans name an index without its schema, and of a partitioned one the partition's."""
    rows = await admin.fetch(
        "SELECT c.relname, coalesce(i.inhparent, c.oid)::regclass::text, pg_get_indexdef(c.oid, 1, true) "
        "FROM pg_class AS c "
        "LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid WHERE c.relkind IN ('i', 'I') "
        "AND c.relnamespace::regnamespace::text IN ('finance', 'event_store', 'read_models', 'ops')"
    )
    return {row[0]: (row[1], row[2]) for row in rows}


async def _explained(
    worker: asyncpg.Connection, statement: str, case: Case, known: dict[str, tuple[str, str]], broken: str = ""
) -> Plan:
    """How a statement runs; `broken` is what the owner does to the schema before, undone afterwards."""
    arguments = f"({case.arguments})" if case.arguments else ""
    await worker.execute("BEGIN")
    try:
        if broken:
            await worker.execute(f"SET LOCAL ROLE none; {broken}; SET LOCAL ROLE folio_writer")
        await worker.execute(_STAGE)
        await worker.execute(f"SET LOCAL ROLE {case.role}")
        await worker.execute("SET LOCAL folio.org_id = '7'")
        # PREPARE and EXECUTE, so that the plan is the generic one which the worker's setting asks for.
        await worker.execute(f"PREPARE explained AS {statement}")
        try:
            answer = await worker.fetchval(
                f"EXPLAIN (ANALYZE, VERBOSE, BUFFERS OFF, FORMAT JSON) EXECUTE explained {arguments}"
            )
        finally:
            await worker.execute("ROLLBACK")
    finally:
        await worker.execute("DEALLOCATE explained")
    (document,) = json.loads(answer)
    nodes = list(_nodes(document["Plan"]))
    scans = [
        (node["Node Type"], f"{node['Schema']}.{node['Relation Name']}", node.get("Actual Loops", 0) > 0)
        for node in nodes
        if "Scan" in node["Node Type"] and "Relation Name" in node and node["Schema"] != "pg_catalog"
    ]
    indexes = {
        known[index][0]
        for node in nodes
        for index in [node.get("Index Name"), *node.get("Conflict Arbiter Indexes", [])]
        if index in known  # those of the catalogs are not ours
    }
    unentered = {
        index
        for node in nodes
        for index, column in [known.get(node.get("Index Name", ""), ("", ""))]
        if index.startswith(("event_store.", "finance.", "read_models."))
        and not re.search(rf"\b{column}\b", node.get("Index Cond", ""))
    }
    return Plan(scans, indexes, unentered, json.dumps(document, indent=1))


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from _nodes(child)


def test_every_query_has_its_case() -> None:
    assert CASES.keys() | OF_CHECKS == FILES


@pytest.mark.parametrize("name", sorted(name for name, case in CASES.items() if not case.by_sets))
def test_no_table_of_ours_is_read_from_end_to_end(plans: dict[str, Plan], name: str) -> None:
    assert not _read_from_end_to_end(plans[name]), plans[name].text


@pytest.mark.parametrize("name", sorted(name for name, case in CASES.items() if not case.by_sets))
def test_every_index_of_a_large_table_is_entered_by_its_first_column(plans: dict[str, Plan], name: str) -> None:
    """A scan of a whole index is an index scan, too."""
    assert not plans[name].unentered, plans[name].text


@pytest.mark.parametrize("name", sorted(name for name, case in CASES.items() if case.partitions))
def test_only_the_partitions_that_can_hold_the_rows_are_touched(plans: dict[str, Plan], name: str) -> None:
    assert 1 <= len(_touched(plans[name])) <= CASES[name].partitions, plans[name].text


def _read_from_end_to_end(plan: Plan) -> list[str]:
    return [
        table
        for kind, table, _ in plan.scans
        if not kind.startswith(("Index", "Bitmap")) and not table.split(".")[1].startswith("staging_")
    ]


def _touched(plan: Plan) -> set[str]:
    return {table for _, table, ran in plan.scans if ran and not table.split(".")[1].startswith("staging_")}


# What must show in the plan of a query once it is gone.
_LOST_INDEXES = {
    "balance_of_day": "ALTER TABLE finance.daily_cash_balances_partitioned DROP CONSTRAINT {}",
    "latest_balance": "ALTER TABLE finance.daily_cash_balances_partitioned DROP CONSTRAINT {}",
    "daily_report": "DROP INDEX finance.expenses_of_day",
    "revenues_of_day": "DROP INDEX finance.revenues_of_day",
    "expenses_of_day": "DROP INDEX finance.expenses_of_day",
    "revenue_by_id": "ALTER TABLE finance.revenues_partitioned DROP CONSTRAINT revenues_partitioned_pkey",
    "history_of_transaction": "DROP INDEX event_store.events_identity",
    "booked_as_recorded": "DROP INDEX event_store.events_identity",
    "outcomes_of_records": "DROP INDEX event_store.events_identity",
    "org_overview": "ALTER TABLE finance.properties DROP CONSTRAINT properties_pkey",
}
_WINDOW = (
    "  AND {}occurred_at >= ($3::date::timestamp AT TIME ZONE 'UTC') - interval '14 hours'",
    "  AND {}occurred_at < ($3::date::timestamp AT TIME ZONE 'UTC') + interval '36 hours'",
)
_LOST_PREDICATES = {
    "outcomes_of_records": [
        "stored.recorded_at >= now() - interval '1 day' AND ",
        "AND stored.recorded_at < now() + interval '1 day'",
    ],
    "revenues_of_day": [line.format("t.") for line in _WINDOW],
    "expenses_of_day": [line.format("t.") for line in _WINDOW],
    "daily_report": [line.format("") for line in _WINDOW],
    "revenue_by_id": [" AND t.occurred_at = s.occurred_at"],
    "expense_by_id": [" AND t.occurred_at = s.occurred_at"],
}


@pytest_asyncio.fixture
async def worker(module_database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect_writer(module_database, DatabaseSettings(), "test")
    yield connection
    await connection.close()


@pytest.mark.parametrize("name", sorted(_LOST_INDEXES))
async def test_an_index_that_is_gone_is_missed(plans: dict[str, Plan], worker: asyncpg.Connection, name: str) -> None:
    broken = _LOST_INDEXES[name].format("daily_cash_balances_partitioned_pkey")
    plan = await _explained(worker, sql.query(name), CASES[name], await _known_indexes(worker), broken)
    assert _read_from_end_to_end(plan) or plan.unentered or not plan.indexes >= READ_BY[name], plan.text


@pytest.mark.parametrize("name", sorted(_LOST_PREDICATES))
async def test_a_pruning_predicate_that_is_gone_is_missed(
    plans: dict[str, Plan], worker: asyncpg.Connection, name: str
) -> None:
    statement = sql.query(name)
    for lost in _LOST_PREDICATES[name]:
        assert lost in statement
        statement = statement.replace(lost, "")
    plan = await _explained(worker, statement, CASES[name], await _known_indexes(worker))
    assert len(_touched(plan)) > CASES[name].partitions


_BALANCES, _PROPERTIES = "finance.daily_cash_balances_partitioned_pkey", "finance.properties_pkey"
_SNAPSHOTS, _USERS = "event_store.snapshots_pkey", "read_models.users_pkey"
# By which indexes each read finds its rows, and by no other.
READ_BY = {
    "balance_of_day": {_BALANCES},
    "balances_of_org": {_BALANCES},
    "balances_of_range": {_BALANCES},
    "booked_as_recorded": {
        *(_SNAPSHOTS, _PROPERTIES, "event_store.events_identity"),
        *("ops.balance_adjustments_pkey", "ops.balance_corrections_pkey"),
    },
    "daily_report": {
        *(_PROPERTIES, _BALANCES, _USERS, "finance.revenues_of_day", "finance.expenses_of_day"),
        "finance.property_time_zones_pkey",
    },
    "expense_by_id": {_SNAPSHOTS, _PROPERTIES, _USERS, "finance.expenses_partitioned_pkey"},
    "expenses_of_day": {"finance.expenses_of_day", _USERS},
    "history_of_transaction": {"event_store.events_identity"},
    "latest_balance": {_BALANCES},
    "newest_balance": set[str](),  # a function
    "org_overview": {_BALANCES, _PROPERTIES},
    "revenue_by_id": {_SNAPSHOTS, _PROPERTIES, _USERS, "finance.revenues_partitioned_pkey"},
    "revenues_of_day": {"finance.revenues_of_day", _USERS},
    # What the two functions read they read as their owner: lanes by none, letters by their key.
    "finance_positions": set[str](),
    "outcomes_of_records": {"event_store.events_identity", _SNAPSHOTS, _BALANCES},
    "read_mark": set[str](),
    "safe_watermarks": set[str](),
}


async def test_the_function_of_a_cached_day_reads_one_partition_by_its_key(module_database: str) -> None:
    """What a function does shows in no plan of its caller: the server logs it."""
    told: list[str] = []
    owner = await asyncpg.connect(module_database)
    owner.add_log_listener(lambda _, message: told.append(message.message))
    await owner.execute(
        "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on; "
        "SET auto_explain.log_format = json; SET auto_explain.log_verbose = on; SET auto_explain.log_analyze = on; "
        "SET client_min_messages = log"
    )
    for _ in range(2):
        await owner.fetch(sql.query("newest_balance"), 7, 1, date(2026, 11, 29), READER, "1000")
    await owner.close()
    (document,) = [json.loads(each[each.index("{") :]) for each in told[-3:] if "daily_cash_balances" in each]
    nodes = list(_nodes(document["Plan"]))
    (scan,) = [node for node in nodes if "Relation Name" in node]
    assert (scan["Node Type"], scan["Scan Direction"]) == ("Index Scan", "Backward")
    conditions = [
        f"{column} {sign}" for column, sign in (("org_id", "="), ("property_id", "="), ("balance_date", "<="))
    ]
    assert all(each in scan["Index Cond"] for each in conditions), scan["Index Cond"]
    assert any("folio.org_id" in node.get("One-Time Filter", "") for node in nodes), "row security holds"


@pytest.mark.parametrize("name", sorted(name for name, case in CASES.items() if case.role == READER))
def test_a_read_finds_its_rows_by_these_indexes(plans: dict[str, Plan], name: str) -> None:
    assert plans[name].indexes == READ_BY[name], plans[name].text


async def test_every_index_serves_a_query(plans: dict[str, Plan], module_database: str) -> None:
    connection = await asyncpg.connect(module_database)
    try:
        rows = await connection.fetch(
            "SELECT i.indexrelid::regclass::text FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid "
            "WHERE c.relnamespace::regnamespace::text IN ('finance', 'event_store', 'read_models', 'ops') "
            "AND NOT c.relispartition"
        )
    finally:
        await connection.close()
    used = set().union(*(plan.indexes for plan in plans.values()))
    unjustified = {row[0] for row in rows} - used
    assert unjustified == KEYS_ALONE.keys()


async def test_the_writer_plans_by_key_whatever_the_statistics_say(module_database: str) -> None:
    worker = await connect_writer(module_database, DatabaseSettings(), "test")
    try:
        names = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit", "plan_cache_mode", "timezone")
        shown = {name: await worker.fetchval(f"SHOW {name}") for name in names}
    finally:
        await worker.close()
    assert shown == {
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "jit": "off",
        "plan_cache_mode": "force_generic_plan",
        "timezone": "UTC",
    }


async def test_an_empty_database_is_probed_by_key_too(database: str) -> None:
    """Before statistics exist the planner takes any table for tiny: that must not bring back full reads."""
    worker = await connect_writer(database, DatabaseSettings(), "test")
    try:
        await worker.execute(f"PREPARE probe AS {sql.query('read_snapshots')}")
        plan = await worker.fetch("EXPLAIN EXECUTE probe ('{7}', '{revenue}', '{7}')")
    finally:
        await worker.close()
    text = "\n".join(row[0] for row in plan)
    assert not re.search(r"Seq Scan on (?!unnest)", text), text

-- Consistency: what a check of the books against themselves reads, and what it remembers of a drift
-- depends: 0021_rebuilds

-- migrate: apply

CREATE TABLE ops.drifts (
    drift_id      uuid PRIMARY KEY,
    kind          text NOT NULL CHECK (kind IN ('event', 'snapshot', 'transaction', 'balance')),
    org_id        bigint NOT NULL,
    subject       text NOT NULL,
    differs       text[] NOT NULL,
    before        jsonb,
    after         jsonb,
    first_seen_at timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL,
    first_job_id  uuid NOT NULL,
    last_job_id   uuid NOT NULL,
    repaired_at   timestamptz,
    repaired_by   text CHECK ((repaired_by IS NULL) = (repaired_at IS NULL))
);
COMMENT ON TABLE ops.drifts IS
    'Rows of the books that were not what they are derived from, as a check found them. Never deleted: what was wrong, '
    'since when, and how it was made right stays readable.';
COMMENT ON COLUMN ops.drifts.subject IS 'Which row: revenue or expense and its id, or property and balance date.';
COMMENT ON COLUMN ops.drifts.before IS 'What was there; null: the row was missing.';
COMMENT ON COLUMN ops.drifts.after IS 'What ought to have been there; null: no row.';
-- A drift that is found again is the same drift. Serves record_drifts and open_drifts.
CREATE UNIQUE INDEX drifts_open ON ops.drifts (org_id, kind, subject) WHERE repaired_at IS NULL;

CREATE TABLE ops.night_audit_days (
    report_id    uuid NOT NULL,
    org_id       bigint NOT NULL,
    property_id  bigint NOT NULL,
    balance_date date NOT NULL,
    finding      text NOT NULL CHECK (finding IN ('discrepancy', 'missing_count')),
    cents        bigint NOT NULL,
    PRIMARY KEY (report_id, org_id, property_id, finding)
);
COMMENT ON TABLE ops.night_audit_days IS
    'What a night audit found on the day that had ended at each property; the report itself has the totals.';
COMMENT ON COLUMN ops.night_audit_days.cents IS
    'The discrepancy, or the cash that moved on a day whose cash nobody counted.';

GRANT INSERT, UPDATE ON ops.drifts TO folio_operator;
GRANT INSERT ON ops.reports, ops.night_audit_days TO folio_operator;
GRANT SELECT ON ops.drifts, ops.night_audit_days TO folio_operator;

-- What a check reads at a time: one of so many slices (a divisor of 16: each is some hash partitions) from end to end, or
-- some organisations by their keys. Written out, so that the planner, who knows the arguments, is left with what it must
-- read: PostgreSQL prunes a hash partition by the value of its key, never by its number. The functions are inlined
-- (stable, not strict, no settings): a call costs nothing, and conditions of the caller go inside.
DO $$
DECLARE
    relation record;
BEGIN
    FOR relation IN
        SELECT * FROM (VALUES ('event_store.snapshots', 'event_store.snapshots_', 'snapshots'),
                              ('finance.daily_cash_balances_partitioned', 'finance.daily_cash_balances_', 'balances'))
            AS r (parent, child, name)
    LOOP
        EXECUTE format(
            'CREATE FUNCTION ops.checked_%s(slices integer, slice integer, orgs bigint[]) RETURNS SETOF %s LANGUAGE sql STABLE PARALLEL SAFE '
            'AS %L', relation.name, relation.parent,
            (SELECT string_agg(format('SELECT * FROM %s%s WHERE %s %% slices = slice', relation.child, n, n), ' UNION ALL ')
             FROM generate_series(0, 15) AS n)
            || format(' UNION ALL SELECT * FROM %s WHERE org_id = ANY (orgs)', relation.parent));
    END LOOP;
    -- These are partitioned by time, or not at all: a slice reads them from end to end, and keeps its organisations.
    FOR relation IN
        SELECT * FROM (VALUES ('event_store.events', 'events'), ('finance.revenues_partitioned', 'revenues'),
                              ('finance.expenses_partitioned', 'expenses'), ('ops.balance_adjustments', 'adjustments'),
                              ('ops.balance_corrections', 'corrections')) AS r (parent, name)
    LOOP
        EXECUTE format(
            'CREATE FUNCTION ops.checked_%s(slices integer, slice integer, orgs bigint[]) RETURNS SETOF %s LANGUAGE sql STABLE PARALLEL SAFE '
            'AS %L', relation.name, relation.parent,
            format('SELECT * FROM %s WHERE slice IS NOT NULL '
                   'AND satisfies_hash_partition(''event_store.snapshots''::regclass, slices, slice, org_id)'
                   ' UNION ALL SELECT * FROM %s WHERE org_id = ANY (orgs)', relation.parent, relation.parent));
    END LOOP;
END
$$;

-- migrate: rollback

DROP FUNCTION ops.checked_corrections, ops.checked_adjustments, ops.checked_expenses, ops.checked_revenues,
    ops.checked_events, ops.checked_balances, ops.checked_snapshots;
REVOKE INSERT ON ops.reports FROM folio_operator;
DROP TABLE ops.night_audit_days, ops.drifts;

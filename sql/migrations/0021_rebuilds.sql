-- Rebuilds: how often balances were rebuilt, what that takes, and read models that are made from the rest by replay
-- depends: 0020_chain_links

-- migrate: apply

ALTER TABLE ops.lanes ADD COLUMN rebuilds bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN ops.lanes.rebuilds IS
    'Transactions of rebuilds that wrote balances of orgs at home here, counted under the lock. No version of a balance is '
    'above the sum of batches and rebuilds of all lanes: a row that was lost comes back above that.';

-- A snapshot that no event stands behind was made by nobody's batch: a rebuild takes it away, and no other.
CREATE FUNCTION ops.delete_orphaned_snapshots(orgs bigint[], types text[], ids bigint[]) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH deleted AS (
        DELETE FROM event_store.snapshots AS s
        USING unnest(orgs, types, ids) AS k (org_id, aggregate_type, aggregate_id)
        WHERE (s.org_id, s.aggregate_type, s.aggregate_id) = (k.org_id, k.aggregate_type, k.aggregate_id)
          AND NOT EXISTS (SELECT FROM event_store.events AS e
                          WHERE e.aggregate_id = k.aggregate_id AND e.org_id = k.org_id
                            AND e.aggregate_type = k.aggregate_type)
          -- While months are in archives, its events may be there.
          AND NOT EXISTS (SELECT FROM ops.expired_months AS m
                          WHERE m.parent = 'event_store.events' AND m.restored_at IS NULL)
        RETURNING 1
    )
    SELECT count(*) FROM deleted
$$;
-- The function works as the owner, whom forced row security would show neither events nor snapshots.
CREATE POLICY of_the_owner ON event_store.events FOR SELECT TO CURRENT_USER USING (true);
CREATE POLICY of_the_owner ON event_store.snapshots TO CURRENT_USER USING (true);
REVOKE EXECUTE ON FUNCTION ops.delete_orphaned_snapshots FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ops.delete_orphaned_snapshots TO folio_writer;
-- Of which months have left the store: a rebuild must not take what went with them for lost.
GRANT SELECT ON ops.expired_months TO folio_writer;
-- A job is an operator's; what it does to the books, it does with a writer's rights.
GRANT INSERT, UPDATE ON ops.jobs TO folio_operator;

CREATE TABLE read_models.daily_reports (
    org_id              bigint NOT NULL,
    property_id         bigint NOT NULL,
    balance_date        date NOT NULL,
    cash_received_cents bigint NOT NULL,
    bank_received_cents bigint NOT NULL,
    cash_expenses_cents bigint NOT NULL,
    bank_expenses_cents bigint NOT NULL,
    revenue_count       integer NOT NULL,
    expense_count       integer NOT NULL,
    pending_count       integer NOT NULL,
    pending_cents       bigint NOT NULL,
    rejected_count      integer NOT NULL,
    rejected_cents      bigint NOT NULL,
    deleted_count       integer NOT NULL,
    adjustment_count    integer NOT NULL,
    refreshed_at        timestamptz NOT NULL,
    PRIMARY KEY (org_id, property_id, balance_date)
) PARTITION BY HASH (org_id);
COMMENT ON TABLE read_models.daily_reports IS
    'Of each property and day, what its transactions say: approved ones by kind and mode, the others by status.';
COMMENT ON COLUMN read_models.daily_reports.revenue_count IS 'Approved ones, as the four sums.';
COMMENT ON COLUMN read_models.daily_reports.adjustment_count IS 'Adjustments of the day; their sums are in the balance.';

CREATE TABLE read_models.monthly_summaries (
    org_id                 bigint NOT NULL,
    property_id            bigint NOT NULL,
    month                  date NOT NULL CHECK (extract(day FROM month) = 1),
    opening_balance_cents  bigint NOT NULL,
    cash_received_cents    bigint NOT NULL,
    bank_received_cents    bigint NOT NULL,
    cash_expenses_cents    bigint NOT NULL,
    bank_expenses_cents    bigint NOT NULL,
    closing_balance_cents  bigint NOT NULL,
    discrepancy_cents      bigint NOT NULL,
    day_count              integer NOT NULL,
    counted_day_count      integer NOT NULL,
    transaction_count      integer NOT NULL,
    refreshed_at           timestamptz NOT NULL,
    PRIMARY KEY (org_id, property_id, month)
) PARTITION BY HASH (org_id);
COMMENT ON TABLE read_models.monthly_summaries IS
    'Of each property and month of balance dates: its movements with adjustments, its first opening and last closing.';
COMMENT ON COLUMN read_models.monthly_summaries.discrepancy_cents IS 'The sum of the days'' discrepancies.';
COMMENT ON COLUMN read_models.monthly_summaries.transaction_count IS 'Approved ones.';

CREATE TABLE read_models.refreshes (
    lane           smallint PRIMARY KEY,
    recorded_until timestamptz NOT NULL,
    refreshed_at   timestamptz NOT NULL
);
COMMENT ON TABLE read_models.refreshes IS
    'By lane, what the projections know: whatever came by it and was recorded up to this instant, and perhaps more.';

DO $$
DECLARE
    projection text;
BEGIN
    FOREACH projection IN ARRAY ARRAY['daily_reports', 'monthly_summaries'] LOOP
        FOR remainder IN 0..15 LOOP
            EXECUTE format('CREATE TABLE read_models.%I PARTITION OF read_models.%I FOR VALUES WITH (MODULUS 16, REMAINDER %s)',
                projection || '_' || remainder, projection, remainder);
        END LOOP;
        EXECUTE format('ALTER TABLE read_models.%I ENABLE ROW LEVEL SECURITY', projection);
        EXECUTE format('ALTER TABLE read_models.%I FORCE ROW LEVEL SECURITY', projection);
        EXECUTE format('CREATE POLICY own_org ON read_models.%I FOR SELECT TO folio_reader '
            'USING (org_id = nullif(current_setting(''folio.org_id'', true), '''')::bigint)', projection);
        EXECUTE format('CREATE POLICY every_org ON read_models.%I TO folio_writer USING (true) WITH CHECK (true)', projection);
        EXECUTE format('CREATE POLICY every_org_read ON read_models.%I FOR SELECT TO folio_operator USING (true)', projection);
        EXECUTE format('GRANT SELECT ON read_models.%I TO folio_reader, folio_operator', projection);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON read_models.%I TO folio_writer', projection);
        PERFORM ops.sample_little(format('read_models.%I', projection)::regclass);
    END LOOP;
END
$$;
GRANT SELECT ON read_models.refreshes TO folio_reader, folio_operator;
GRANT SELECT, INSERT, UPDATE ON read_models.refreshes TO folio_writer;

-- migrate: rollback

DROP TABLE read_models.refreshes, read_models.monthly_summaries, read_models.daily_reports;
REVOKE INSERT, UPDATE ON ops.jobs FROM folio_operator;
REVOKE SELECT ON ops.expired_months FROM folio_writer;
DROP FUNCTION ops.delete_orphaned_snapshots;
DROP POLICY of_the_owner ON event_store.snapshots;
DROP POLICY of_the_owner ON event_store.events;
ALTER TABLE ops.lanes DROP COLUMN rebuilds;

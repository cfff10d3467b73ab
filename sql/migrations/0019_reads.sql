-- Reads: what a reader may see of the store and of the corrections, who is called what, and until when the books are settled
-- depends: 0018_partition_lifecycle

-- migrate: apply

CREATE TABLE read_models.users (
    org_id       bigint NOT NULL,
    user_id      bigint NOT NULL,
    display_name text NOT NULL,
    recorded_at  timestamptz NOT NULL,
    PRIMARY KEY (org_id, user_id)
) PARTITION BY HASH (org_id);
COMMENT ON TABLE read_models.users IS
    'The newest name that a stored event gave a user, in the order of recording. What was stored before this table was '
    'made is not in it.';
COMMENT ON COLUMN read_models.users.recorded_at IS 'Of the batch that brought the name.';

DO $$
BEGIN
    FOR remainder IN 0..15 LOOP
        EXECUTE format(
            'CREATE TABLE read_models.users_%s PARTITION OF read_models.users '
            'FOR VALUES WITH (MODULUS 16, REMAINDER %s)', remainder, remainder);
    END LOOP;
END
$$;
SELECT ops.sample_little('read_models.users');
GRANT SELECT, INSERT, UPDATE ON read_models.users TO folio_writer;
GRANT SELECT ON read_models.users TO folio_operator;

GRANT USAGE ON SCHEMA event_store, ops TO folio_reader;
DO $$
DECLARE
    tenant_table regclass;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY[
        'event_store.events', 'event_store.snapshots', 'ops.balance_corrections', 'ops.balance_adjustments',
        'read_models.users'
    ]::regclass[] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY own_org ON %s FOR SELECT TO folio_reader '
            'USING (org_id = nullif(current_setting(''folio.org_id'', true), '''')::bigint)', tenant_table);
        EXECUTE format('CREATE POLICY every_org ON %s TO folio_writer USING (true) WITH CHECK (true)', tenant_table);
        EXECUTE format('CREATE POLICY every_org_read ON %s FOR SELECT TO folio_operator USING (true)', tenant_table);
        -- On the parent only: a query that names a partition would pass by its parent's policies.
        EXECUTE format('GRANT SELECT ON %s TO folio_reader', tenant_table);
    END LOOP;
END
$$;

-- Events are recorded in the order of time, and neighbours lie together: a few bytes for each 32 pages find any minute of
-- the store. A B-tree on the same column would cost each event as much as the one that it has (docs/indexes.md).
CREATE INDEX events_recorded ON event_store.events USING brin (recorded_at)
    WITH (pages_per_range = 32, autosummarize = on);

-- A reader may know of a lane until when its books are settled, and nothing else.
CREATE FUNCTION ops.safe_watermarks() RETURNS timestamptz[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT array_agg(last_recorded_at ORDER BY lane) FROM ops.lanes
$$;
COMMENT ON FUNCTION ops.safe_watermarks IS
    'Of each lane, in order, its last instant of recording. Whatever is recorded later for an organisation that is at home '
    'there gets a later instant: every writer stamps the home lane under its lock.';
REVOKE EXECUTE ON FUNCTION ops.safe_watermarks FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ops.safe_watermarks TO folio_reader, folio_writer, folio_operator;

-- migrate: rollback

DROP FUNCTION ops.safe_watermarks;
DROP INDEX event_store.events_recorded;
DO $$
DECLARE
    tenant_table regclass;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY[
        'event_store.events', 'event_store.snapshots', 'ops.balance_corrections', 'ops.balance_adjustments'
    ]::regclass[] LOOP
        EXECUTE format('DROP POLICY own_org ON %s', tenant_table);
        EXECUTE format('DROP POLICY every_org ON %s', tenant_table);
        EXECUTE format('DROP POLICY every_org_read ON %s', tenant_table);
        EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('REVOKE SELECT ON %s FROM folio_reader', tenant_table);
    END LOOP;
END
$$;
REVOKE USAGE ON SCHEMA event_store, ops FROM folio_reader;
DROP TABLE read_models.users;

-- Neighbours in time are neighbours in the index, and statistics that nobody needs are not gathered
-- depends: 0015_cheaper_writes

-- migrate: apply

-- A platform numbers its transactions in order, so an index that begins with the number grows at its right end: new
-- entries meet pages that are in every cache. By organisation each entry lands on a page of its own, and costs twice as
-- much at half a million rows (docs/decisions/0011). Every query of these three names both columns.
DROP INDEX event_store.events_identity;
CREATE INDEX events_identity ON event_store.events (aggregate_id, org_id, aggregate_type, version);

ALTER TABLE finance.revenues_partitioned
    DROP CONSTRAINT revenues_partitioned_pkey,
    ADD PRIMARY KEY (id, org_id, occurred_at);
ALTER TABLE finance.expenses_partitioned
    DROP CONSTRAINT expenses_partitioned_pkey,
    ADD PRIMARY KEY (id, org_id, occurred_at);

-- Every query of these tables looks rows up by key, whatever statistics say. By default each ANALYZE sorts 30,000 rows of
-- every column, and while tables grow it comes every minute: 300 rows times the target are enough.
CREATE FUNCTION ops.sample_little(relation regclass) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE (
        SELECT format('ALTER TABLE %s ', relation)
               || string_agg(format('ALTER COLUMN %I SET STATISTICS 10', attname), ', ' ORDER BY attnum)
        FROM pg_attribute
        WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped);
END
$$;
COMMENT ON FUNCTION ops.sample_little IS
    'Lets ANALYZE look at 3,000 rows of a table and of its partitions, instead of 30,000 of each.';

SELECT ops.sample_little(relation)
FROM unnest(ARRAY['event_store.events', 'event_store.snapshots', 'finance.revenues_partitioned',
                  'finance.expenses_partitioned', 'finance.daily_cash_balances_partitioned', 'finance.properties',
                  'finance.property_time_zones']::regclass[]) AS relation;

CREATE OR REPLACE FUNCTION ops.ensure_month(parent regclass, column_name text, month date) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    first_day constant date := date_trunc('month', month)::date;
    -- Bounds in UTC with an explicit offset: the session's time zone must not move a month.
    lower_bound constant text := first_day::text || ' 00:00:00+00';
    upper_bound constant text := (first_day + interval '1 month')::date::text || ' 00:00:00+00';
    schema_name constant text := (SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = parent);
    base_name constant text := regexp_replace(
        (SELECT relname FROM pg_class WHERE oid = parent), '_partitioned$', '');
    child constant text := base_name || '_' || to_char(first_day, 'YYYY_MM');
    -- A transaction is approved or edited soon after it was made: room in its page keeps that on the page (HOT), and no
    -- index entry is written. Events are never updated.
    storage constant text := CASE schema_name WHEN 'finance' THEN ' WITH (fillfactor = 85)' ELSE '' END;
BEGIN
    IF to_regclass(format('%I.%I', schema_name, child)) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE', parent);
    -- Whoever held the lock before us may have made the month while we waited.
    IF to_regclass(format('%I.%I', schema_name, child)) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- Nobody may put a row of this month into the default partition between the sweep and the attaching.
    EXECUTE format('LOCK TABLE %I.%I IN ACCESS EXCLUSIVE MODE', schema_name, base_name || '_default');
    EXECUTE format('CREATE TABLE %I.%I (LIKE %s INCLUDING ALL)%s', schema_name, child, parent, storage);
    PERFORM ops.sample_little(to_regclass(format('%I.%I', schema_name, child)));
    -- PostgreSQL refuses a partition for which the default one already holds rows: take them along.
    EXECUTE format(
        'WITH swept AS (DELETE FROM %I.%I WHERE %I >= %L AND %I < %L RETURNING *) INSERT INTO %I.%I SELECT * FROM swept',
        schema_name, base_name || '_default', column_name, lower_bound, column_name, upper_bound, schema_name, child);
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)',
        parent, schema_name, child, lower_bound, upper_bound);
    RETURN true;
END
$$;

-- migrate: rollback

CREATE OR REPLACE FUNCTION ops.ensure_month(parent regclass, column_name text, month date) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    first_day constant date := date_trunc('month', month)::date;
    -- Bounds in UTC with an explicit offset: the session's time zone must not move a month.
    lower_bound constant text := first_day::text || ' 00:00:00+00';
    upper_bound constant text := (first_day + interval '1 month')::date::text || ' 00:00:00+00';
    schema_name constant text := (SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = parent);
    base_name constant text := regexp_replace(
        (SELECT relname FROM pg_class WHERE oid = parent), '_partitioned$', '');
    child constant text := base_name || '_' || to_char(first_day, 'YYYY_MM');
    -- A transaction is approved or edited soon after it was made: room in its page keeps that on the page (HOT), and no
    -- index entry is written. Events are never updated.
    storage constant text := CASE schema_name WHEN 'finance' THEN ' WITH (fillfactor = 85)' ELSE '' END;
BEGIN
    IF to_regclass(format('%I.%I', schema_name, child)) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE', parent);
    -- Whoever held the lock before us may have made the month while we waited.
    IF to_regclass(format('%I.%I', schema_name, child)) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- Nobody may put a row of this month into the default partition between the sweep and the attaching.
    EXECUTE format('LOCK TABLE %I.%I IN ACCESS EXCLUSIVE MODE', schema_name, base_name || '_default');
    EXECUTE format('CREATE TABLE %I.%I (LIKE %s INCLUDING ALL)%s', schema_name, child, parent, storage);
    -- PostgreSQL refuses a partition for which the default one already holds rows: take them along.
    EXECUTE format(
        'WITH swept AS (DELETE FROM %I.%I WHERE %I >= %L AND %I < %L RETURNING *) INSERT INTO %I.%I SELECT * FROM swept',
        schema_name, base_name || '_default', column_name, lower_bound, column_name, upper_bound, schema_name, child);
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)',
        parent, schema_name, child, lower_bound, upper_bound);
    RETURN true;
END
$$;

DO $$
DECLARE
    statistics record;
BEGIN
    FOR statistics IN
        SELECT format('ALTER TABLE %s ', relation)
               || string_agg(format('ALTER COLUMN %I SET STATISTICS DEFAULT', attname), ', ') AS reset
        FROM unnest(ARRAY['event_store.events', 'event_store.snapshots', 'finance.revenues_partitioned',
                          'finance.expenses_partitioned', 'finance.daily_cash_balances_partitioned',
                          'finance.properties', 'finance.property_time_zones']::regclass[]) AS relation
        JOIN pg_attribute ON attrelid = relation
        WHERE attnum > 0 AND NOT attisdropped
        GROUP BY relation
    LOOP
        EXECUTE statistics.reset;
    END LOOP;
END
$$;
DROP FUNCTION ops.sample_little;

ALTER TABLE finance.expenses_partitioned
    DROP CONSTRAINT expenses_partitioned_pkey,
    ADD PRIMARY KEY (org_id, id, occurred_at);
ALTER TABLE finance.revenues_partitioned
    DROP CONSTRAINT revenues_partitioned_pkey,
    ADD PRIMARY KEY (org_id, id, occurred_at);

DROP INDEX event_store.events_identity;
CREATE INDEX events_identity ON event_store.events (org_id, aggregate_type, aggregate_id, version);

-- Cheaper writes: rows that are updated find room on their page, and a property registers without a look at itself
-- depends: 0014_pauses

-- migrate: apply

-- Both rows of a property are written by one statement and never deleted. The check took as long as all else that a
-- property needs to register itself, and on a young stream every third event registers one (docs/performance.md).
ALTER TABLE finance.property_time_zones DROP CONSTRAINT property_time_zones_org_id_property_id_fkey;

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
    month regclass;
BEGIN
    FOR month IN
        SELECT inhrelid FROM pg_inherits
        WHERE inhparent IN ('finance.revenues_partitioned'::regclass, 'finance.expenses_partitioned'::regclass)
    LOOP
        EXECUTE format('ALTER TABLE %s SET (fillfactor = 85)', month);
    END LOOP;
END
$$;

-- migrate: rollback

DO $$
DECLARE
    month regclass;
BEGIN
    FOR month IN
        SELECT inhrelid FROM pg_inherits
        WHERE inhparent IN ('finance.revenues_partitioned'::regclass, 'finance.expenses_partitioned'::regclass)
    LOOP
        EXECUTE format('ALTER TABLE %s RESET (fillfactor)', month);
    END LOOP;
END
$$;

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
    EXECUTE format('CREATE TABLE %I.%I (LIKE %s INCLUDING ALL)', schema_name, child, parent);
    -- PostgreSQL refuses a partition for which the default one already holds rows: take them along.
    EXECUTE format(
        'WITH swept AS (DELETE FROM %I.%I WHERE %I >= %L AND %I < %L RETURNING *) INSERT INTO %I.%I SELECT * FROM swept',
        schema_name, base_name || '_default', column_name, lower_bound, column_name, upper_bound, schema_name, child);
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)',
        parent, schema_name, child, lower_bound, upper_bound);
    RETURN true;
END
$$;

ALTER TABLE finance.property_time_zones ADD FOREIGN KEY (org_id, property_id) REFERENCES finance.properties;

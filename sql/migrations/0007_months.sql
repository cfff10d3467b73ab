-- Monthly partitions: made ahead, any number of times, sweeping what had already landed in the default partition
-- depends: 0006_ops

-- migrate: apply

CREATE FUNCTION ops.ensure_month(parent regclass, column_name text, month date) RETURNS boolean
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
COMMENT ON FUNCTION ops.ensure_month IS 'Makes the partition of one month unless it exists. True when it was made.';

CREATE FUNCTION ops.ensure_months(around date, months_back integer, months_ahead integer) RETURNS integer
LANGUAGE sql AS $$
    SELECT count(*) FILTER (WHERE made)::integer
    FROM generate_series(-months_back, months_ahead) AS step,
         LATERAL (SELECT (date_trunc('month', around) + make_interval(months => step))::date AS month) AS m,
         LATERAL (VALUES ('finance.revenues_partitioned'::regclass, 'occurred_at'),
                         ('finance.expenses_partitioned'::regclass, 'occurred_at'),
                         ('event_store.events'::regclass, 'recorded_at')) AS t (parent, column_name),
         LATERAL (SELECT ops.ensure_month(t.parent, t.column_name, m.month) AS made) AS e
    -- Events are recorded now, never in the past.
    WHERE step >= 0 OR t.column_name = 'occurred_at'
$$;
COMMENT ON FUNCTION ops.ensure_months IS
    'Makes the monthly partitions around a date that are missing; returns how many. Safe to call at any time.';

-- migrate: rollback

DROP FUNCTION ops.ensure_months(date, integer, integer), ops.ensure_month(regclass, text, date);

-- The lifecycle of months: made with a shorter lock, expired by steps that can be taken up again, brought back
-- depends: 0017_append_only_audit

-- migrate: apply

CREATE TABLE ops.expired_months (
    parent         text NOT NULL,
    month          date NOT NULL,
    detached_at    timestamptz NOT NULL DEFAULT now(),
    to_archive     boolean NOT NULL,
    row_count      bigint,
    archive        text,
    archive_sha256 bytea,
    archived_at    timestamptz,
    dropped_at     timestamptz,
    restored_at    timestamptz,
    PRIMARY KEY (parent, month, detached_at)
);
COMMENT ON TABLE ops.expired_months IS
    'Months that left their table for good, written in the transaction that took them out. A proof allows their rows to be '
    'absent, and nobody else''s. Until dropped_at the rows are in a table of their own, MONTH_expired beside the partitions.';
COMMENT ON COLUMN ops.expired_months.to_archive IS 'The rows may be dropped only once they are in an archive.';
COMMENT ON COLUMN ops.expired_months.row_count IS 'How many rows were archived, or dropped; null before.';
COMMENT ON COLUMN ops.expired_months.archive IS 'The name of the file, without its folder.';
COMMENT ON COLUMN ops.expired_months.restored_at IS 'The month is a partition again, with the rows of its archive.';
-- Of one month at most one table waits to be archived and dropped: its name is the month's.
CREATE UNIQUE INDEX expired_months_open ON ops.expired_months (parent, month) WHERE dropped_at IS NULL;
GRANT SELECT ON ops.expired_months TO folio_operator;

CREATE FUNCTION ops.month_table(parent regclass, month date, ending text DEFAULT '') RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT format('%I.%I', relnamespace::regnamespace::text,
                  regexp_replace(relname, '_partitioned$', '') || '_' || to_char(month, 'YYYY_MM') || ending)
    FROM pg_class WHERE oid = parent
$$;
COMMENT ON FUNCTION ops.month_table IS 'The table of a month, quoted: a partition without an ending.';

CREATE FUNCTION ops.full_name(relation regclass) RETURNS text
LANGUAGE sql STABLE AS $$
    -- A regclass as text has no schema where the search path has it.
    SELECT relnamespace::regnamespace::text || '.' || relname FROM pg_class WHERE oid = relation
$$;

CREATE FUNCTION ops.give_to_owner(parent regclass, child text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    -- A member of the owner's role, or a superuser, may run maintenance: what it makes is the owner's all the same, who
    -- could not detach or alter it otherwise.
    EXECUTE format('ALTER TABLE %s OWNER TO %I', child, (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = parent));
END
$$;

CREATE FUNCTION ops.default_table(parent regclass) RETURNS regclass
LANGUAGE sql STABLE AS $$ SELECT partdefid FROM pg_partitioned_table WHERE partrelid = parent $$;

CREATE FUNCTION ops.in_month(column_name text, month date) RETURNS text
LANGUAGE sql STABLE AS $$
    -- Bounds in UTC with an explicit offset: the session's time zone must not move a month.
    SELECT format('%1$I >= %2$L AND %1$I < %3$L', column_name, to_char(month, 'YYYY-MM-DD') || ' 00:00:00+00',
                  to_char(month + interval '1 month', 'YYYY-MM-DD') || ' 00:00:00+00')
$$;
COMMENT ON FUNCTION ops.in_month IS 'The condition that a column lies in a month, for a statement that is put together.';

CREATE FUNCTION ops.attach_month(parent regclass, column_name text, month date, child text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    -- Nobody may put a row of this month into the default partition between the sweep and the attaching. Whoever writes
    -- other months needs no lock on it, and goes on.
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', ops.default_table(parent));
    -- PostgreSQL refuses a partition for which the default one already holds rows: take them along.
    EXECUTE format('WITH swept AS (DELETE FROM %s WHERE %s RETURNING *) INSERT INTO %s SELECT * FROM swept',
        ops.default_table(parent), ops.in_month(column_name, month), child);
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', parent, child,
        to_char(month, 'YYYY-MM-DD') || ' 00:00:00+00',
        to_char(month + interval '1 month', 'YYYY-MM-DD') || ' 00:00:00+00');
END
$$;

CREATE OR REPLACE FUNCTION ops.ensure_month(parent regclass, column_name text, month date) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    first_day constant date := date_trunc('month', month)::date;
    child constant text := ops.month_table(parent, first_day);
    -- A transaction is approved or edited soon after it was made: room in its page keeps that on the page (HOT), and no
    -- index entry is written. Events are never updated.
    storage constant text := CASE WHEN child LIKE 'finance.%' THEN ' WITH (fillfactor = 85)' ELSE '' END;
BEGIN
    IF to_regclass(child) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE', parent);
    -- Whoever held the lock before us may have made the month while we waited.
    IF to_regclass(child) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- The table first, then the lock that writers may meet: making it takes most of the time.
    EXECUTE format('CREATE TABLE %s (LIKE %s INCLUDING ALL)%s', child, parent, storage);
    PERFORM ops.give_to_owner(parent, child);
    PERFORM ops.sample_little(to_regclass(child));
    PERFORM ops.attach_month(parent, column_name, first_day, child);
    RETURN true;
END
$$;

CREATE FUNCTION ops.default_months() RETURNS TABLE (parent text, month date, row_count bigint)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY
    SELECT t.parent, date_trunc('month', t.at AT TIME ZONE 'UTC')::date, count(*)
    FROM (SELECT 'finance.revenues_partitioned', occurred_at FROM finance.revenues_default
          UNION ALL
          SELECT 'finance.expenses_partitioned', occurred_at FROM finance.expenses_default
          UNION ALL
          SELECT 'event_store.events', recorded_at FROM event_store.events_default) AS t (parent, at)
    GROUP BY 1, 2;
END
$$;
COMMENT ON FUNCTION ops.default_months IS
    'Reads the default partitions from end to end: they are empty, or somebody wants to know what is in them.';

CREATE FUNCTION ops.detach_month(parent regclass, month date, to_archive boolean) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', parent, ops.month_table(parent, month));
    EXECUTE format('ALTER TABLE %s RENAME TO %I', ops.month_table(parent, month),
        split_part(ops.month_table(parent, month, '_expired'), '.', 2));
    INSERT INTO ops.expired_months (parent, month, to_archive)
    VALUES (ops.full_name(detach_month.parent), month, to_archive);
    RETURN true;
END
$$;
COMMENT ON FUNCTION ops.detach_month IS
    'Takes a month out of its table. Plainly, for CONCURRENTLY is refused where there is a default partition: whoever '
    'writes to the table waits for this transaction.';

CREATE FUNCTION ops.set_aside_month(
    parent regclass, column_name text, month date, rows_max integer, to_archive boolean) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    aside constant text := ops.month_table(parent, month, '_expired');
    moved bigint;
BEGIN
    IF to_regclass(aside) IS NULL THEN
        EXECUTE format('CREATE TABLE %s (LIKE %s)', aside, parent);
        PERFORM ops.give_to_owner(parent, aside);
        INSERT INTO ops.expired_months (parent, month, to_archive)
        VALUES (ops.full_name(set_aside_month.parent), month, to_archive);
    END IF;
    -- A row that a writer has in hand is left for the next call: we wait for nobody, and nobody for us.
    EXECUTE format(
        'WITH taken AS (DELETE FROM %1$s WHERE ctid = ANY (ARRAY(SELECT ctid FROM %1$s WHERE %2$s LIMIT %3$s '
        'FOR UPDATE SKIP LOCKED)) RETURNING *) INSERT INTO %4$s SELECT * FROM taken',
        ops.default_table(parent), ops.in_month(column_name, month), rows_max, aside);
    GET DIAGNOSTICS moved = ROW_COUNT;
    RETURN moved;
END
$$;
COMMENT ON FUNCTION ops.set_aside_month IS
    'Takes rows of an expired month out of the default partition, at most so many; returns how many.';

CREATE FUNCTION ops.drop_expired_month(parent regclass, month date) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    aside constant text := ops.month_table(parent, month, '_expired');
    expired ops.expired_months;
    rows_dropped bigint;
BEGIN
    SELECT * INTO STRICT expired FROM ops.expired_months AS e
    WHERE e.parent = ops.full_name(drop_expired_month.parent) AND e.month = drop_expired_month.month
      AND e.dropped_at IS NULL
    FOR UPDATE;
    EXECUTE format('SELECT count(*) FROM %s', aside) INTO rows_dropped;
    IF expired.to_archive AND (expired.archived_at IS NULL OR expired.row_count <> rows_dropped) THEN
        RAISE EXCEPTION '% is not archived: its % rows are kept', aside, rows_dropped
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format('DROP TABLE %s', aside);
    UPDATE ops.expired_months AS e SET dropped_at = now(), row_count = rows_dropped
    WHERE e.parent = expired.parent AND e.month = expired.month AND e.detached_at = expired.detached_at;
    RETURN rows_dropped;
END
$$;

CREATE FUNCTION ops.begin_restore(parent regclass, column_name text, month date) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    restored constant text := ops.month_table(parent, month, '_restored');
BEGIN
    -- What an interrupted run has left is in its archive as a whole.
    EXECUTE format('DROP TABLE IF EXISTS %s', restored);
    EXECUTE format('CREATE TABLE %s (LIKE %s INCLUDING ALL)', restored, parent);
    PERFORM ops.give_to_owner(parent, restored);
    PERFORM ops.sample_little(to_regclass(restored));
    -- Refuses a row of another month, and spares the attaching a look at each.
    EXECUTE format('ALTER TABLE %s ADD CONSTRAINT one_month CHECK (%s)', restored, ops.in_month(column_name, month));
    RETURN split_part(restored, '.', 2);
END
$$;

CREATE FUNCTION ops.end_restore(parent regclass, column_name text, month date, sha256 bytea) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    restored constant text := ops.month_table(parent, month, '_restored');
BEGIN
    PERFORM ops.attach_month(parent, column_name, month, restored);
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT one_month', restored);
    EXECUTE format('ALTER TABLE %s RENAME TO %I', restored, split_part(ops.month_table(parent, month), '.', 2));
    UPDATE ops.expired_months AS e SET restored_at = now()
    WHERE e.parent = ops.full_name(end_restore.parent) AND e.month = end_restore.month
      -- Not by its name: whoever keeps archives may have called it otherwise.
      AND e.archive_sha256 = end_restore.sha256;
END
$$;

-- migrate: rollback

DO $$
BEGIN
    IF EXISTS (SELECT FROM ops.expired_months WHERE dropped_at IS NULL) THEN
        RAISE EXCEPTION 'expired months wait to be archived and dropped: run `folio partitions apply` first';
    END IF;
END
$$;

DROP FUNCTION ops.end_restore, ops.begin_restore, ops.drop_expired_month, ops.set_aside_month, ops.detach_month,
    ops.default_months;

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

DROP FUNCTION ops.attach_month, ops.in_month, ops.default_table, ops.give_to_owner, ops.full_name, ops.month_table;
DROP TABLE ops.expired_months;

-- What is kept: for how long the workers keep transactions, which a reader may know, and which versions left the store
-- depends: 0022_consistency

-- migrate: apply

ALTER TABLE ops.lanes
    ADD COLUMN retention_months integer CHECK (retention_months > 0),
    ADD COLUMN transactions_since timestamptz;
COMMENT ON COLUMN ops.lanes.retention_months IS
    'For how many months who claimed the lane last keeps rows of transactions. Null: not claimed since this was noted.';
COMMENT ON COLUMN ops.lanes.transactions_since IS
    'Where the months kept became more: the edge of the fewer ones then. Older transactions that had come late have no row.';

-- One table: a batch that meets a late version would pay for opening sixteen partitions, 30 us, and for one 5 us.
CREATE TABLE ops.archived_versions (
    org_id         bigint NOT NULL,
    aggregate_id   bigint NOT NULL,
    version        integer NOT NULL,
    hash_version   smallint NOT NULL,
    aggregate_type text NOT NULL,
    content_hash   bytea NOT NULL,
    PRIMARY KEY (aggregate_id, org_id, aggregate_type, version)
);
COMMENT ON TABLE ops.archived_versions IS
    'What event_store.events held in months that were archived, without what it said: a version that is sent again is '
    'still a duplicate, or a conflict. Written before the month leaves; a month that comes back leaves its rows here.';
SELECT ops.sample_little('ops.archived_versions');
GRANT SELECT ON ops.archived_versions TO folio_writer, folio_operator;

-- A reader may know from when on transactions are kept, and nothing else of lanes and of months that left.
CREATE FUNCTION ops.transactions_kept_since() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT greatest(
        (SELECT (max(month) + interval '1 month') AT TIME ZONE 'UTC' FROM ops.expired_months
         WHERE parent IN ('finance.revenues_partitioned', 'finance.expenses_partitioned')),
        (SELECT (date_trunc('month', max(greatest(last_appended_at, corrections_last_appended_at)) AT TIME ZONE 'UTC')
                 - make_interval(months => min(retention_months))) AT TIME ZONE 'UTC' FROM ops.lanes),
        (SELECT max(transactions_since) FROM ops.lanes),
        '-infinity')
$$;
COMMENT ON FUNCTION ops.transactions_kept_since IS
    'Every transaction that occurred from then on has its row. Of older ones the months have left, or the workers no longer '
    'write them: retention as the lanes have recorded it, seen from the newest record.';
REVOKE EXECUTE ON FUNCTION ops.transactions_kept_since FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ops.transactions_kept_since TO folio_reader, folio_writer, folio_operator;

-- migrate: rollback

DROP FUNCTION ops.transactions_kept_since;
DROP TABLE ops.archived_versions;
ALTER TABLE ops.lanes DROP COLUMN transactions_since, DROP COLUMN retention_months;

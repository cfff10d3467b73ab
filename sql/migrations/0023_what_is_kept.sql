-- What is kept: for how long the workers keep transactions, and which versions left the store with their months
-- depends: 0022_consistency

-- migrate: apply

ALTER TABLE ops.lanes ADD COLUMN retention_months integer CHECK (retention_months > 0);
COMMENT ON COLUMN ops.lanes.retention_months IS
    'For how many months who claimed the lane last keeps rows of transactions. Null: not claimed since this was noted.';

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

-- migrate: rollback

DROP TABLE ops.archived_versions;
ALTER TABLE ops.lanes DROP COLUMN retention_months;

-- Event store: append-only events by month of recording, and the latest state of each aggregate
-- depends: 0002_properties

-- migrate: apply

CREATE TABLE event_store.events (
    recorded_at    timestamptz NOT NULL,
    lane           smallint NOT NULL,
    record_offset  bigint NOT NULL,
    org_id         bigint NOT NULL,
    aggregate_type text NOT NULL,
    aggregate_id   bigint NOT NULL,
    version        integer NOT NULL,
    event_type     text NOT NULL,
    event_id       uuid NOT NULL,
    property_id    bigint NOT NULL,
    balance_date   date NOT NULL,
    occurred_at    timestamptz NOT NULL,
    appended_at    timestamptz NOT NULL,
    outcome        text NOT NULL CHECK (outcome IN ('applied', 'stale')),
    hash_version   smallint NOT NULL,
    content_hash   bytea NOT NULL,
    event_data     bytea NOT NULL,
    headers        bytea
) PARTITION BY RANGE (recorded_at);
COMMENT ON TABLE event_store.events IS 'Every accepted version of every transaction, as its record came. Never updated.';
COMMENT ON COLUMN event_store.events.recorded_at IS 'Stamped under the fence, strictly rising within a lane.';
COMMENT ON COLUMN event_store.events.event_data IS 'The bytes of the record, unknown fields included.';
COMMENT ON COLUMN event_store.events.headers IS 'The headers of the record as a MessagePack array of pairs of name and value.';

-- Serves the probe of a version below the snapshot's (queries/probe_versions.sql). Identity is kept by the decision
-- under the fence: a unique key of a partitioned table would have to contain recorded_at, and so would prove nothing.
CREATE INDEX events_identity ON event_store.events (org_id, aggregate_type, aggregate_id, version);

CREATE TABLE event_store.events_default PARTITION OF event_store.events DEFAULT;

CREATE TABLE event_store.snapshots (
    org_id               bigint NOT NULL,
    aggregate_type       text NOT NULL CHECK (aggregate_type IN ('revenue', 'expense')),
    aggregate_id         bigint NOT NULL,
    version              integer NOT NULL,
    hash_version         smallint NOT NULL,
    content_hash         bytea NOT NULL,
    property_id          bigint NOT NULL,
    occurred_at          timestamptz NOT NULL,
    balance_date         date NOT NULL,
    payment_mode         text NOT NULL,
    status               text NOT NULL,
    amount_cents         bigint NOT NULL,
    contribution_cents   bigint NOT NULL,
    created_at           timestamptz NOT NULL,
    created_by_user_id   bigint NOT NULL,
    approved_at          timestamptz,
    approved_by_user_id  bigint,
    updated_at           timestamptz NOT NULL,
    PRIMARY KEY (org_id, aggregate_type, aggregate_id),
    CHECK (contribution_cents = CASE status WHEN 'approved' THEN amount_cents ELSE 0 END)
) PARTITION BY HASH (org_id);
COMMENT ON TABLE event_store.snapshots IS
    'The newest version of each transaction and what is booked for it. A later removal takes away exactly this.';

DO $$
BEGIN
    FOR remainder IN 0..15 LOOP
        -- Room in each page keeps an update of the row on its page (HOT): no index entry is written.
        EXECUTE format(
            'CREATE TABLE event_store.snapshots_%s PARTITION OF event_store.snapshots '
            'FOR VALUES WITH (MODULUS 16, REMAINDER %s) WITH (fillfactor = 85)', remainder, remainder);
    END LOOP;
END
$$;

GRANT SELECT, INSERT ON event_store.events TO folio_writer;
GRANT SELECT, INSERT, UPDATE ON event_store.snapshots TO folio_writer;

-- migrate: rollback

DROP TABLE event_store.snapshots, event_store.events;

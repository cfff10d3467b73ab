-- Tamper evidence: a hash chain of a link for each lane and batch, over every column of what it stores
-- depends: 0019_reads

-- migrate: apply

CREATE TABLE event_store.chain_links (
    lane              smallint NOT NULL,
    seq               bigint NOT NULL CHECK (seq > 0),
    batch_id          uuid NOT NULL,
    owner_epoch       bigint NOT NULL,
    cluster_epoch     text NOT NULL,
    events            integer NOT NULL,
    corrections       integer NOT NULL,
    first_recorded_at timestamptz NOT NULL,
    last_recorded_at  timestamptz NOT NULL,
    previous_head     bytea NOT NULL,
    head              bytea NOT NULL CHECK (octet_length(head) = 32),
    PRIMARY KEY (lane, seq)
);
COMMENT ON TABLE event_store.chain_links IS
    'What a lane stored of one batch, bound to all that it stored before. It covers the lane''s events and corrections '
    'from first_recorded_at to last_recorded_at. Never updated; docs/tamper-evidence.md tells how a head is made.';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event_store.chain_links
    FOR EACH STATEMENT EXECUTE FUNCTION ops.refuse_rewriting();
GRANT SELECT, INSERT ON event_store.chain_links TO folio_writer;
GRANT SELECT ON event_store.chain_links TO folio_operator;

ALTER TABLE ops.lanes ADD COLUMN chain_seq bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN ops.lanes.chain_seq IS 'The newest link of the lane; 0: it has none yet.';
COMMENT ON COLUMN ops.lanes.chain_head IS
    'The head of the newest link; of a lane without one what a chain over content hashes had come to, before there were links.';

ALTER TABLE ops.outbox ADD COLUMN chain_head bytea;
COMMENT ON COLUMN ops.outbox.chain_head IS 'The head of the lane''s chain after the batch, as it goes to the topic chain-heads.';

-- migrate: rollback

ALTER TABLE ops.outbox DROP COLUMN chain_head;
ALTER TABLE ops.lanes DROP COLUMN chain_seq;
COMMENT ON COLUMN ops.lanes.chain_head IS
    'head = BLAKE2b-128(head || content hash), over the stored events in offset order: shows tampering.';
DROP TABLE event_store.chain_links;

-- Lanes, outbox, dead letters, adjustments, jobs, reports and the operators' audit
-- depends: 0005_daily_cash_balances

-- migrate: apply

CREATE TABLE ops.lanes (
    lane                   smallint PRIMARY KEY CHECK (lane >= 0),
    owner_epoch            bigint NOT NULL DEFAULT 0,
    owner                  text,
    batch_id               uuid,
    finance_position       bigint,
    last_offset            bigint,
    last_appended_at       timestamptz,
    last_record_hash       bytea,
    corrections_position   bigint,
    corrections_last_offset      bigint,
    corrections_last_appended_at timestamptz,
    corrections_last_record_hash bytea,
    last_recorded_at       timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00',
    chain_head             bytea NOT NULL DEFAULT '\x00000000000000000000000000000000',
    outbox_seq             bigint NOT NULL DEFAULT 0,
    published_seq          bigint NOT NULL DEFAULT 0,
    invalidated_seq        bigint NOT NULL DEFAULT 0,
    properties_revision    bigint NOT NULL DEFAULT 0,
    applied                bigint NOT NULL DEFAULT 0,
    duplicate              bigint NOT NULL DEFAULT 0,
    stale                  bigint NOT NULL DEFAULT 0,
    conflict               bigint NOT NULL DEFAULT 0,
    quarantined            bigint NOT NULL DEFAULT 0,
    misrouted              bigint NOT NULL DEFAULT 0,
    version_gaps           bigint NOT NULL DEFAULT 0,
    batches                bigint NOT NULL DEFAULT 0,
    last_batch_rows        integer NOT NULL DEFAULT 0,
    stopped_reason         text,
    updated_at             timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 10);
COMMENT ON TABLE ops.lanes IS
    'One row per partition of the topics: who may write, from where, and what became of every record. '
    'Locking the row is the fence.';
COMMENT ON COLUMN ops.lanes.finance_position IS 'The next offset of finance-events; null before the first batch.';
COMMENT ON COLUMN ops.lanes.last_record_hash IS 'BLAKE2b-128 of the last record: tells a recreated topic from ours.';
COMMENT ON COLUMN ops.lanes.chain_head IS
    'head = BLAKE2b-128(head || content hash), over the stored events in offset order: shows tampering.';
COMMENT ON COLUMN ops.lanes.properties_revision IS
    'Raised, under this lane''s lock, by whatever changes properties of orgs at home here; writers then reload.';

CREATE TABLE ops.lane_rules (
    lane              smallint NOT NULL REFERENCES ops.lanes,
    finance_position  bigint NOT NULL,
    past_max          interval NOT NULL,
    future_max        interval NOT NULL,
    default_currency  text NOT NULL,
    default_time_zone text NOT NULL,
    recorded_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (lane, finance_position)
);
COMMENT ON TABLE ops.lane_rules IS
    'The rules by which records from finance_position on were judged. The first row tells where the lane began.';

CREATE TABLE ops.outbox (
    lane         smallint NOT NULL REFERENCES ops.lanes,
    seq          bigint NOT NULL,
    batch_id     uuid NOT NULL,
    recorded_at  timestamptz NOT NULL,
    update_count integer NOT NULL,
    updates      bytea NOT NULL,
    PRIMARY KEY (lane, seq)
);
-- Compressing would cost the writer more than the disk: the rows live for a second.
ALTER TABLE ops.outbox ALTER COLUMN updates SET STORAGE EXTERNAL;
COMMENT ON TABLE ops.outbox IS
    'Realtime updates of a batch, one JSON document a line, until they are both published and invalidated.';

CREATE TABLE ops.dead_letters (
    topic          text NOT NULL,
    lane           smallint NOT NULL,
    record_offset  bigint NOT NULL,
    reason         text NOT NULL,
    detail         text NOT NULL,
    appended_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,
    record_key     bytea,
    record_value   bytea,
    headers        bytea,
    PRIMARY KEY (topic, lane, record_offset)
);
COMMENT ON TABLE ops.dead_letters IS 'Records that broke a rule, as they came, with the reason.';

CREATE TABLE ops.balance_adjustments (
    correction_id       uuid PRIMARY KEY,
    org_id              bigint NOT NULL,
    property_id         bigint NOT NULL,
    balance_date        date NOT NULL,
    lane                smallint NOT NULL,
    finance_position    bigint NOT NULL,
    cash_received_cents bigint NOT NULL,
    bank_received_cents bigint NOT NULL,
    cash_expenses_cents bigint NOT NULL,
    bank_expenses_cents bigint NOT NULL,
    before              jsonb NOT NULL,
    after               jsonb NOT NULL,
    reason              text NOT NULL,
    recorded_by_user_id bigint NOT NULL,
    issued_at           timestamptz NOT NULL,
    recorded_at         timestamptz NOT NULL
);
COMMENT ON TABLE ops.balance_adjustments IS
    'Immutable deltas that figures corrections became, with the lane''s position at that moment.';

CREATE TABLE ops.jobs (
    job_id      uuid PRIMARY KEY,
    kind        text NOT NULL,
    state       text NOT NULL CHECK (state IN ('running', 'done', 'failed')),
    progress    jsonb NOT NULL DEFAULT '{}',
    last_error  text,
    started_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE ops.reports (
    report_id  uuid PRIMARY KEY,
    kind       text NOT NULL,
    body       jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE ops.operator_audit (
    audit_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    who        text NOT NULL,
    command    text NOT NULL,
    detail     jsonb NOT NULL DEFAULT '{}'
);

GRANT SELECT, INSERT, UPDATE ON ops.lanes TO folio_writer;
GRANT SELECT, INSERT, UPDATE ON ops.lane_rules TO folio_writer;
GRANT SELECT, INSERT ON ops.dead_letters, ops.balance_adjustments TO folio_writer;
GRANT SELECT, INSERT, DELETE ON ops.outbox TO folio_writer;
GRANT SELECT, INSERT, UPDATE ON ops.jobs, ops.reports TO folio_writer;
GRANT SELECT ON ALL TABLES IN SCHEMA ops, finance, event_store TO folio_operator;
GRANT INSERT ON ops.operator_audit TO folio_writer, folio_operator;

-- migrate: rollback

REVOKE SELECT ON ALL TABLES IN SCHEMA finance, event_store FROM folio_operator;
DROP TABLE ops.operator_audit, ops.reports, ops.jobs, ops.balance_adjustments, ops.dead_letters, ops.outbox,
    ops.lane_rules, ops.lanes;

-- Corrections: what accountants restate, the adjustments that follow from it, and by which rules they were judged
-- depends: 0008_row_security

-- migrate: apply

CREATE TABLE ops.balance_corrections (
    org_id                 bigint NOT NULL,
    correction_id          uuid NOT NULL,
    property_id            bigint NOT NULL,
    balance_date           date NOT NULL,
    kind                   text NOT NULL CHECK (kind IN ('figures', 'declared_closing', 'recompute')),
    declared_closing_cents bigint,
    hash_version           smallint NOT NULL,
    content_hash           bytea NOT NULL,
    lane                   smallint NOT NULL,
    record_offset          bigint NOT NULL,
    finance_position       bigint NOT NULL,
    appended_at            timestamptz NOT NULL,
    recorded_at            timestamptz NOT NULL,
    issued_at              timestamptz NOT NULL,
    recorded_by_user_id    bigint NOT NULL,
    reason                 text NOT NULL,
    correction_data        bytea NOT NULL,
    headers                bytea,
    PRIMARY KEY (org_id, correction_id)
);
COMMENT ON TABLE ops.balance_corrections IS 'Every applied correction, as its record came. Never updated.';
COMMENT ON COLUMN ops.balance_corrections.finance_position IS
    'Where the lane stood in finance-events when the correction was applied: events before it came first.';
COMMENT ON COLUMN ops.balance_corrections.recorded_at IS
    'Stamped under the fence as events are, so that corrections and events of an organisation have one order.';

-- It held nothing before this migration: nobody consumed corrections.
DROP TABLE ops.balance_adjustments;
CREATE TABLE ops.balance_adjustments (
    org_id                     bigint NOT NULL,
    property_id                bigint NOT NULL,
    balance_date               date NOT NULL,
    correction_id              uuid NOT NULL,
    cash_received_before_cents bigint NOT NULL,
    bank_received_before_cents bigint NOT NULL,
    cash_expenses_before_cents bigint NOT NULL,
    bank_expenses_before_cents bigint NOT NULL,
    cash_received_after_cents  bigint NOT NULL,
    bank_received_after_cents  bigint NOT NULL,
    cash_expenses_after_cents  bigint NOT NULL,
    bank_expenses_after_cents  bigint NOT NULL,
    cash_received_cents bigint GENERATED ALWAYS AS (cash_received_after_cents - cash_received_before_cents) STORED,
    bank_received_cents bigint GENERATED ALWAYS AS (bank_received_after_cents - bank_received_before_cents) STORED,
    cash_expenses_cents bigint GENERATED ALWAYS AS (cash_expenses_after_cents - cash_expenses_before_cents) STORED,
    bank_expenses_cents bigint GENERATED ALWAYS AS (bank_expenses_after_cents - bank_expenses_before_cents) STORED,
    recorded_at                timestamptz NOT NULL,
    PRIMARY KEY (org_id, property_id, balance_date, correction_id),
    FOREIGN KEY (org_id, correction_id) REFERENCES ops.balance_corrections
);
COMMENT ON TABLE ops.balance_adjustments IS
    'What figures corrections added to their day, with its movements before and after. Never updated: a balance is the '
    'fold of its transactions and adjustments.';

ALTER TABLE ops.lane_rules
    ADD COLUMN corrections_position bigint NOT NULL DEFAULT 0,
    DROP CONSTRAINT lane_rules_pkey,
    ADD PRIMARY KEY (lane, finance_position, corrections_position);
ALTER TABLE ops.lane_rules ALTER COLUMN corrections_position DROP DEFAULT;
COMMENT ON TABLE ops.lane_rules IS
    'The rules by which records from these positions on were judged. The first row tells where the lane began.';

GRANT SELECT, INSERT ON ops.balance_corrections, ops.balance_adjustments TO folio_writer;
GRANT SELECT ON ops.balance_corrections, ops.balance_adjustments TO folio_operator;

-- migrate: rollback

ALTER TABLE ops.lane_rules DROP CONSTRAINT lane_rules_pkey;
DELETE FROM ops.lane_rules AS r
USING ops.lane_rules AS newer
WHERE r.lane = newer.lane AND r.finance_position = newer.finance_position
  AND r.corrections_position < newer.corrections_position;
ALTER TABLE ops.lane_rules
    DROP COLUMN corrections_position,
    ADD PRIMARY KEY (lane, finance_position);
COMMENT ON TABLE ops.lane_rules IS
    'The rules by which records from finance_position on were judged. The first row tells where the lane began.';
DROP TABLE ops.balance_adjustments, ops.balance_corrections;
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
GRANT SELECT, INSERT ON ops.balance_adjustments TO folio_writer;
GRANT SELECT ON ops.balance_adjustments TO folio_operator;

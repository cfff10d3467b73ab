-- Kept by the workers: for how long they keep transactions, so that nobody takes away what they still write
-- depends: 0022_consistency

-- migrate: apply

ALTER TABLE ops.lanes ADD COLUMN retention_months integer CHECK (retention_months > 0);
COMMENT ON COLUMN ops.lanes.retention_months IS
    'For how many months who claimed the lane last keeps rows of transactions. Null: not claimed since this was noted.';

-- migrate: rollback

ALTER TABLE ops.lanes DROP COLUMN retention_months;

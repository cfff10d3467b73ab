-- advance_lane: move a lane past a batch: position, counters, marks, chain; under the lock that fence took.
UPDATE ops.lanes
SET batch_id         = $2,
    finance_position = $3,
    last_offset      = $4,
    last_appended_at = $5,
    last_record_hash = $6,
    last_recorded_at = $7,
    chain_head       = $8,
    outbox_seq       = $9,
    applied          = applied + $10,
    duplicate        = duplicate + $11,
    stale            = stale + $12,
    conflict         = conflict + $13,
    quarantined      = quarantined + $14,
    misrouted        = misrouted + $15,
    version_gaps     = version_gaps + $16,
    batches          = batches + 1,
    last_batch_rows  = $17,
    updated_at       = $7
WHERE lane = $1

-- advance_lane: move a lane past a batch: positions, counters, marks, chain; under the lock that fence took.
-- A feed that the batch does not touch stays where it is.
UPDATE ops.lanes
SET batch_id                     = $2,
    finance_position             = coalesce($3, finance_position),
    last_offset                  = coalesce($4, last_offset),
    last_appended_at             = coalesce($5, last_appended_at),
    last_record_hash             = coalesce($6, last_record_hash),
    corrections_position         = coalesce($7, corrections_position),
    corrections_last_offset      = coalesce($8, corrections_last_offset),
    corrections_last_appended_at = coalesce($9, corrections_last_appended_at),
    corrections_last_record_hash = coalesce($10, corrections_last_record_hash),
    last_recorded_at             = $11,
    chain_seq                    = $12,
    chain_head                   = $13,
    outbox_seq                   = $14,
    applied                      = applied + $15,
    duplicate                    = duplicate + $16,
    stale                        = stale + $17,
    conflict                     = conflict + $18,
    quarantined                  = quarantined + $19,
    misrouted                    = misrouted + $20,
    version_gaps                 = version_gaps + $21,
    batches                      = batches + 1,
    last_batch_rows              = $22,
    updated_at                   = $11
WHERE lane = $1

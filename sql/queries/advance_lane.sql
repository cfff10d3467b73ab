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
    chain_head                   = $12,
    outbox_seq                   = $13,
    applied                      = applied + $14,
    duplicate                    = duplicate + $15,
    stale                        = stale + $16,
    conflict                     = conflict + $17,
    quarantined                  = quarantined + $18,
    misrouted                    = misrouted + $19,
    version_gaps                 = version_gaps + $20,
    batches                      = batches + 1,
    last_batch_rows              = $21,
    updated_at                   = $11
WHERE lane = $1

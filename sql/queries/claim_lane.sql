-- claim_lane: a new epoch for a new owner. Waits for a transaction of the old owner that holds the row.
-- For how long the owner keeps transactions is noted too: no month that he still writes may be taken away.
UPDATE ops.lanes
SET owner_epoch      = owner_epoch + 1,
    owner            = $2,
    retention_months = $3,
    updated_at       = now()
WHERE lane = $1
RETURNING lane, owner_epoch, finance_position, last_offset, last_appended_at, last_record_hash, corrections_position,
          corrections_last_offset, corrections_last_appended_at, corrections_last_record_hash, outbox_seq, published_seq,
          invalidated_seq, stopped_reason, paused_by, pause_reason, poison_accepted_until

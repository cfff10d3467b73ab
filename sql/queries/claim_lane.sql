-- claim_lane: a new epoch for a new owner. Waits for a transaction of the old owner that holds the row.
-- For how long the owner keeps transactions is noted too: no month that he still writes may be taken away. Where that is
-- longer than before, what was too old until now has no row, and never will.
UPDATE ops.lanes
SET owner_epoch        = owner_epoch + 1,
    owner              = $2,
    transactions_since = CASE
        WHEN retention_months < $3 THEN greatest(
            transactions_since,
            (date_trunc('month', greatest(last_appended_at, corrections_last_appended_at) AT TIME ZONE 'UTC')
             - make_interval(months => retention_months)) AT TIME ZONE 'UTC')
        ELSE transactions_since END,
    retention_months   = $3,
    updated_at         = now()
WHERE lane = $1
RETURNING lane, owner_epoch, finance_position, last_offset, last_appended_at, last_record_hash, corrections_position,
          corrections_last_offset, corrections_last_appended_at, corrections_last_record_hash, outbox_seq, published_seq,
          invalidated_seq, stopped_reason, paused_by, pause_reason, poison_accepted_until

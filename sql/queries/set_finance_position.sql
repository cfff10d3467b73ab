-- set_finance_position: move a lane in finance-events by hand, and shut out whoever still believes to own it.
-- The last record is forgotten: what the topic holds before the new position says nothing about it.
UPDATE ops.lanes
SET finance_position = $2,
    last_offset      = NULL,
    last_appended_at = NULL,
    last_record_hash = NULL,
    owner_epoch      = owner_epoch + 1,
    owner            = NULL,
    stopped_reason   = NULL,
    updated_at       = now()
WHERE lane = $1

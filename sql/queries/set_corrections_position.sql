-- set_corrections_position: move a lane in balance-corrections by hand, and shut out whoever still believes to own it.
-- The last record is forgotten: what the topic holds before the new position says nothing about it.
UPDATE ops.lanes
SET corrections_position         = $2,
    corrections_last_offset      = NULL,
    corrections_last_appended_at = NULL,
    corrections_last_record_hash = NULL,
    owner_epoch                  = owner_epoch + 1,
    owner                        = NULL,
    stopped_reason               = NULL,
    updated_at                   = now()
WHERE lane = $1

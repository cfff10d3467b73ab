-- set_position: move a lane by hand in the feed whose position is not null, and shut out whoever believes to own it.
-- Its last record is forgotten: what the topic holds before the new position says nothing about it.
UPDATE ops.lanes
SET finance_position             = coalesce($2, finance_position),
    last_offset                  = CASE WHEN $2 IS NULL THEN last_offset END,
    last_appended_at             = CASE WHEN $2 IS NULL THEN last_appended_at END,
    last_record_hash             = CASE WHEN $2 IS NULL THEN last_record_hash END,
    corrections_position         = coalesce($3, corrections_position),
    corrections_last_offset      = CASE WHEN $3 IS NULL THEN corrections_last_offset END,
    corrections_last_appended_at = CASE WHEN $3 IS NULL THEN corrections_last_appended_at END,
    corrections_last_record_hash = CASE WHEN $3 IS NULL THEN corrections_last_record_hash END,
    owner_epoch                  = owner_epoch + 1,
    owner                        = NULL,
    stopped_reason               = NULL,
    updated_at                   = now()
WHERE lane = $1

-- stop_lane: why a lane does not go on, for whoever asks; null: it does. No row when the lane is another owner's.
UPDATE ops.lanes
SET stopped_reason = $3,
    updated_at     = now()
WHERE lane = $1 AND owner_epoch = $2
RETURNING lane

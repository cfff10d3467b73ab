-- mark_lane: remember how far the outbox of a lane is published and invalidated. Marks never move back.
UPDATE ops.lanes
SET published_seq   = greatest(published_seq, $3),
    invalidated_seq = greatest(invalidated_seq, $4)
WHERE lane = $1 AND owner_epoch = $2

-- pause_lane: fetch nothing more of a lane. A worker (the breaker) gives its epoch, an operator none.
UPDATE ops.lanes
SET paused_at    = now(),
    paused_by    = $2,
    pause_reason = $3
WHERE lane = $1 AND paused_at IS NULL AND owner_epoch = coalesce($4, owner_epoch)

-- resume_lane: fetch again; what the lane holds by now is let through, however much of it is poison.
UPDATE ops.lanes
SET paused_at             = NULL,
    paused_by             = NULL,
    pause_reason          = NULL,
    poison_accepted_until = now()
WHERE lane = $1 AND paused_at IS NOT NULL

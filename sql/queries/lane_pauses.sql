-- lane_pauses: which of these lanes stand still, and until when the breaker does not count their poison.
SELECT lane, paused_by, pause_reason, poison_accepted_until
FROM ops.lanes
WHERE lane = ANY ($1::smallint[])

-- lane_pauses: which of these lanes stand still, until when the breaker does not count their poison, how far the outbox goes.
SELECT lane, paused_by, pause_reason, poison_accepted_until, outbox_seq
FROM ops.lanes
WHERE lane = ANY ($1::smallint[])

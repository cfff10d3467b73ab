-- lane_status: how every lane stands.
SELECT lane, owner, owner_epoch, finance_position, corrections_position, applied, duplicate, stale, conflict,
       quarantined, misrouted, version_gaps, batches, last_batch_rows, outbox_seq - published_seq AS unpublished,
       outbox_seq - invalidated_seq AS uninvalidated, stopped_reason, paused_by, pause_reason, updated_at
FROM ops.lanes
ORDER BY lane

-- lock_lanes: every lane as it stands, and nobody can move one until this transaction ends; ascending, as fence.
SELECT lane, finance_position, corrections_position, outbox_seq, published_seq, invalidated_seq, last_recorded_at,
       properties_revision
FROM ops.lanes
ORDER BY lane
FOR UPDATE

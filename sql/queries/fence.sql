-- fence: lock the lanes of a batch and the home lanes of its organisations, in one ascending pass.
-- Ascending, because two writers that lock the same lanes in different orders would deadlock.
SELECT lane, owner_epoch, batch_id, finance_position, corrections_position, outbox_seq, last_recorded_at, chain_seq,
       chain_head, properties_revision, paused_orgs
FROM ops.lanes
WHERE lane = ANY ($1::smallint[])
ORDER BY lane
FOR UPDATE

-- keep_versions: which versions were recorded in a span of time, before its month leaves the store: what it said of each stays.
-- A span at a time, so that no snapshot is held for a month of events; again, where a run was interrupted.
INSERT INTO ops.archived_versions (org_id, aggregate_id, version, hash_version, aggregate_type, content_hash)
SELECT org_id, aggregate_id, version, hash_version, aggregate_type, content_hash
FROM event_store.events
WHERE recorded_at >= $1 AND recorded_at < $2
ON CONFLICT DO NOTHING

-- suspect_snapshots: transactions whose snapshot is not the newest version that is stored, as far as typed columns tell.
-- $1 slices, of which $2, or $3 organisations; $4: months before have left the store, and a snapshot from then has no witness in it.
SELECT s.org_id, s.aggregate_type, s.aggregate_id
FROM ops.checked_snapshots($1, $2, $3) AS s
LEFT JOIN ops.checked_events($1, $2, $3) AS e USING (org_id, aggregate_type, aggregate_id, version)
WHERE CASE
    WHEN e.recorded_at IS NULL THEN s.updated_at >= $4
    ELSE s.content_hash <> e.content_hash OR s.hash_version <> e.hash_version OR s.updated_at <> e.recorded_at
        OR s.occurred_at <> e.occurred_at OR s.property_id <> e.property_id OR s.balance_date <> e.balance_date
    END
UNION ALL
SELECT e.org_id, e.aggregate_type, e.aggregate_id
FROM ops.checked_events($1, $2, $3) AS e
LEFT JOIN ops.checked_snapshots($1, $2, $3) AS s USING (org_id, aggregate_type, aggregate_id)
WHERE s.version IS NULL OR s.version < e.version
LIMIT $5

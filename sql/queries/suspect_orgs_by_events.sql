-- suspect_orgs_by_events: organisations with a snapshot that may not be the newest version that is stored, as far as typed columns tell.
-- Slice $2 of $1; $3: months before have left the store, and a snapshot from then has no witness in it.
-- Each snapshot must meet the event that it was made from, once, and none of a higher version.
WITH met AS (
    SELECT e.org_id, count(*) FILTER (WHERE s.version = e.version AND e.recorded_at >= $3) AS snapshots,
           bool_or(s.version IS NULL OR s.version < e.version OR (s.version = e.version AND (
               s.content_hash <> e.content_hash OR s.hash_version <> e.hash_version OR s.updated_at <> e.recorded_at
               OR s.occurred_at <> e.occurred_at OR s.property_id <> e.property_id OR s.balance_date <> e.balance_date))) AS suspect
    FROM ops.checked_events($1, $2, NULL) AS e
    LEFT JOIN ops.checked_snapshots($1, $2, NULL) AS s USING (org_id, aggregate_type, aggregate_id)
    GROUP BY e.org_id
), standing AS (
    SELECT org_id, count(*) AS snapshots
    FROM ops.checked_snapshots($1, $2, NULL)
    WHERE updated_at >= $3
    GROUP BY org_id
)
SELECT org_id
FROM met
FULL JOIN standing USING (org_id)
WHERE met.suspect OR coalesce(met.snapshots, 0) <> coalesce(standing.snapshots, 0)
ORDER BY org_id

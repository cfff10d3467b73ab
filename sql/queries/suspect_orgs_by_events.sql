-- suspect_orgs_by_events: organisations with a snapshot that may not be the newest version that is stored, as far as typed columns tell.
-- Slice $2 of $1; $3: months before have left the store, and a snapshot from then has no witness in it; $4: seed of the hashes.
-- The events that no snapshot has gone beyond are the ones that the snapshots were made from. Only snapshots behind
-- their first version can have gone beyond one: the join remembers no others.
WITH stated AS (
    SELECT e.org_id, 1 AS side, ops.digest_of_version(e.aggregate_type, e.aggregate_id, e.version, e.recorded_at, e.occurred_at,
               e.property_id, e.balance_date, e.hash_version, e.content_hash, $4) AS said
    FROM ops.checked_events($1, $2, NULL) AS e
    WHERE e.recorded_at >= $3 AND NOT EXISTS (
        SELECT FROM ops.checked_snapshots($1, $2, NULL) AS s
        WHERE s.version > 1 AND s.version > e.version
          AND (s.org_id, s.aggregate_type, s.aggregate_id) = (e.org_id, e.aggregate_type, e.aggregate_id))
    UNION ALL
    SELECT s.org_id, -1, ops.digest_of_version(s.aggregate_type, s.aggregate_id, s.version, s.updated_at, s.occurred_at,
               s.property_id, s.balance_date, s.hash_version, s.content_hash, $4)
    FROM ops.checked_snapshots($1, $2, NULL) AS s
    WHERE s.updated_at >= $3
)
SELECT org_id
FROM stated
GROUP BY org_id
HAVING bit_xor(said) <> 0 OR sum(side) <> 0
ORDER BY org_id

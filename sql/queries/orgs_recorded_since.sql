-- orgs_recorded_since: organisations of which something was recorded after what a check has seen, or whose drifts stand open.
-- $1 and $2: by lane what it has seen; $3: the least of these, which prunes months.
WITH seen AS (
    SELECT lane, recorded_until
    FROM unnest($1::smallint[], $2::timestamptz[]) AS k (lane, recorded_until)
)
SELECT e.org_id
FROM event_store.events AS e
JOIN seen AS k USING (lane)
WHERE e.recorded_at > $3 AND e.recorded_at > k.recorded_until
UNION
SELECT c.org_id
FROM ops.balance_corrections AS c
JOIN seen AS k USING (lane)
WHERE c.recorded_at > k.recorded_until
UNION
SELECT d.org_id
FROM ops.drifts AS d
WHERE d.repaired_at IS NULL
ORDER BY 1
LIMIT $4

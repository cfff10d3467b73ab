-- touched_orgs: organisations of which something was recorded after what the projections know, and the earliest day concerned.
-- A transaction that moved has left a day: its earlier versions tell which. $3 is the least instant of $2: it prunes months.
WITH known AS (
    SELECT lane, recorded_until
    FROM unnest($1::smallint[], $2::timestamptz[]) AS k (lane, recorded_until)
), news AS (
    SELECT e.org_id, e.aggregate_type, e.aggregate_id, e.version, e.balance_date
    FROM event_store.events AS e
    JOIN known AS k USING (lane)
    WHERE e.recorded_at > $3 AND e.recorded_at > k.recorded_until
)
SELECT org_id, min(balance_date) AS since
FROM (
    SELECT org_id, balance_date
    FROM news
    UNION ALL
    SELECT e.org_id, e.balance_date
    FROM news AS n
    JOIN event_store.events AS e USING (aggregate_id, org_id, aggregate_type)
    WHERE n.version > 1
    UNION ALL
    SELECT c.org_id, c.balance_date
    FROM ops.balance_corrections AS c
    JOIN known AS k USING (lane)
    WHERE c.recorded_at > k.recorded_until
) AS touched
GROUP BY org_id
ORDER BY org_id

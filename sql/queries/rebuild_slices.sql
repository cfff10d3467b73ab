-- rebuild_slices: where to cut the organisations so that each slice has about so many stored events: its last one, ascending.
SELECT max(org_id) AS upto
FROM (
    SELECT org_id, div(sum(event_count) OVER (ORDER BY org_id) - 1, $2::bigint) AS place
    FROM (SELECT org_id, count(*) AS event_count FROM event_store.events WHERE org_id > $1 GROUP BY org_id) AS counted
) AS placed
GROUP BY place
ORDER BY 1

-- rebuild_slices: where to cut the organisations into slices of alike many stored events, and of $2 at most: the last one of each, ascending.
-- Their number is a multiple of $3, the hands that work on them: none is left without one at the end.
WITH counted AS (
    SELECT org_id, count(*) AS events FROM event_store.events WHERE org_id > $1 GROUP BY org_id
), placed AS (
    SELECT org_id, sum(events) OVER (ORDER BY org_id) - 1 AS before,
           (sum(events) OVER ()) / (ceil(sum(events) OVER () / ($2::bigint * $3::integer)) * $3::integer) AS events_a_slice
    FROM counted
)
SELECT max(org_id) AS upto
FROM placed
GROUP BY div(before, greatest(events_a_slice, 1))
ORDER BY 1

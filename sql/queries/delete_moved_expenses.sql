-- delete_moved_expenses: rows whose occurred_at has moved leave their old place, found by the old occurred_at.
-- By arrays, not by staging: what reads a table that each commit empties is planned anew, here over every month there is.
DELETE FROM finance.expenses_partitioned AS t
USING unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) AS moved (org_id, id, occurred_at)
WHERE t.org_id = moved.org_id AND t.id = moved.id AND t.occurred_at = moved.occurred_at

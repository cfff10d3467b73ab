-- delete_moved_expenses: rows whose occurred_at has moved leave their old place, found by the old occurred_at.
DELETE FROM finance.expenses_partitioned AS t
USING staging_events AS s
WHERE s.moved_from IS NOT NULL AND s.aggregate_type = 'expense'
  AND t.org_id = s.org_id AND t.id = s.aggregate_id AND t.occurred_at = s.moved_from

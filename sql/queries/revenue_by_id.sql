-- revenue_by_id: the newest version of a revenue, with its creator's name.
-- By way of the snapshot, which knows when it occurred: the key alone would be looked up in every month. A transaction
-- past retention has no row: then the snapshot tells what it holds.
SELECT s.aggregate_type AS kind, s.aggregate_id AS id, s.property_id, s.balance_date, s.occurred_at, s.amount_cents,
       (SELECT p.currency FROM finance.properties AS p WHERE p.org_id = $1 AND p.property_id = s.property_id) AS currency,
       s.payment_mode, s.status, t.category, t.description, t.bank_reference, t.source, s.version,
       s.created_by_user_id, u.display_name AS created_by_name, s.created_at, s.approved_by_user_id, s.approved_at,
       t.updated_at
FROM event_store.snapshots AS s
LEFT JOIN finance.revenues_partitioned AS t ON t.id = $2 AND t.org_id = $1 AND t.occurred_at = s.occurred_at
LEFT JOIN read_models.users AS u ON u.org_id = $1 AND u.user_id = s.created_by_user_id
WHERE s.org_id = $1 AND s.aggregate_type = 'revenue' AND s.aggregate_id = $2

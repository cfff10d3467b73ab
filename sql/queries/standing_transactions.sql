-- standing_transactions: the rows of some revenues and expenses, as rebuild_transactions reads them.
SELECT r.org_id, k.aggregate_type, r.id, r.occurred_at, r.property_id, r.balance_date, r.amount_cents, r.currency,
       r.payment_mode, r.status, r.category, r.description, r.bank_reference, r.source, r.version, r.created_by_user_id,
       r.created_at, r.approved_by_user_id, r.approved_at, r.updated_at
FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS k (org_id, aggregate_type, id)
JOIN finance.revenues_partitioned AS r USING (id, org_id)
WHERE k.aggregate_type = 'revenue'
UNION ALL
SELECT e.org_id, k.aggregate_type, e.id, e.occurred_at, e.property_id, e.balance_date, e.amount_cents, e.currency,
       e.payment_mode, e.status, e.category, e.description, e.bank_reference, e.source, e.version, e.created_by_user_id,
       e.created_at, e.approved_by_user_id, e.approved_at, e.updated_at
FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS k (org_id, aggregate_type, id)
JOIN finance.expenses_partitioned AS e USING (id, org_id)
WHERE k.aggregate_type = 'expense'

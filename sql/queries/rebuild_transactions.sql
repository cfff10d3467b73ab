-- rebuild_transactions: the rows of revenues and expenses of some organisations, by transaction.
SELECT org_id, 'revenue' AS aggregate_type, id, occurred_at, property_id, balance_date, amount_cents, currency,
       payment_mode, status, category, description, bank_reference, source, version, created_by_user_id, created_at,
       approved_by_user_id, approved_at, updated_at
FROM finance.revenues_partitioned
WHERE org_id > $1 AND org_id <= $2 AND ($3::bigint[] IS NULL OR org_id = ANY ($3))
UNION ALL
SELECT org_id, 'expense', id, occurred_at, property_id, balance_date, amount_cents, currency, payment_mode, status,
       category, description, bank_reference, source, version, created_by_user_id, created_at, approved_by_user_id,
       approved_at, updated_at
FROM finance.expenses_partitioned
WHERE org_id > $1 AND org_id <= $2 AND ($3::bigint[] IS NULL OR org_id = ANY ($3))
ORDER BY org_id, aggregate_type, id, occurred_at

-- transactions: revenues and expenses as reports read them.
SELECT org_id, 'revenue' AS aggregate_type, id, version, property_id, occurred_at, balance_date, payment_mode, status,
       amount_cents, currency, category, description, bank_reference, source
FROM finance.revenues_partitioned
UNION ALL
SELECT org_id, 'expense', id, version, property_id, occurred_at, balance_date, payment_mode, status,
       amount_cents, currency, category, description, bank_reference, source
FROM finance.expenses_partitioned

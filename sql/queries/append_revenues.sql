-- append_revenues: revenues that are new get their row, unless they are older than the retention.
INSERT INTO finance.revenues_partitioned (
    org_id, id, occurred_at, property_id, balance_date, amount_cents, currency, payment_mode, status, category,
    description, bank_reference, source, version, created_by_user_id, created_at, approved_by_user_id, approved_at,
    updated_at)
SELECT org_id, aggregate_id, occurred_at, property_id, balance_date, amount_cents, currency, payment_mode, status, category,
       description, bank_reference, source, version, created_by_user_id, created_at, approved_by_user_id, approved_at,
       appended_at
FROM staging_events
WHERE booking = 'new' AND retained AND aggregate_type = 'revenue'
ORDER BY aggregate_id, org_id

-- upsert_expenses: the newest version of each expense that was known becomes its row, unless it is older than the retention.
INSERT INTO finance.expenses_partitioned AS t (
    org_id, id, occurred_at, property_id, balance_date, amount_cents, currency, payment_mode, status, category,
    description, bank_reference, source, version, created_by_user_id, created_at, approved_by_user_id, approved_at,
    updated_at)
SELECT org_id, aggregate_id, occurred_at, property_id, balance_date, amount_cents, currency, payment_mode, status, category,
       description, bank_reference, source, version, created_by_user_id, created_at, approved_by_user_id, approved_at,
       appended_at
FROM staging_events
WHERE booking = 'known' AND retained AND aggregate_type = 'expense'
ORDER BY aggregate_id, org_id
ON CONFLICT (id, org_id, occurred_at) DO UPDATE
SET property_id         = excluded.property_id,
    balance_date        = excluded.balance_date,
    amount_cents        = excluded.amount_cents,
    currency            = excluded.currency,
    payment_mode        = excluded.payment_mode,
    status              = excluded.status,
    category            = excluded.category,
    description         = excluded.description,
    bank_reference      = excluded.bank_reference,
    source              = excluded.source,
    version             = excluded.version,
    approved_by_user_id = excluded.approved_by_user_id,
    approved_at         = excluded.approved_at,
    updated_at          = excluded.updated_at

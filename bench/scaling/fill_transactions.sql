-- fill_transactions: the same as rows of revenues, over the last 80 days.
INSERT INTO finance.revenues_partitioned (
    org_id, id, occurred_at, property_id, balance_date, amount_cents, currency, payment_mode, status, category,
    description, bank_reference, source, version, created_by_user_id, created_at, approved_by_user_id, approved_at,
    updated_at)
SELECT 1 + (n * 7919) % $3::bigint, n - 1000000000000, now() - make_interval(days => (n % 80)::integer), 1000000000000,
       current_date - (n % 80)::integer, 100, 'INR', 'cash', 'approved', 'room', NULL, NULL, NULL, 1, 1, now(), 1,
       now(), now()
FROM generate_series($1::bigint, $2::bigint) AS n

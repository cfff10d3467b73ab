-- fill_snapshots: transactions that no workload names, spread over all organisations.
INSERT INTO event_store.snapshots (
    org_id, aggregate_type, aggregate_id, version, hash_version, content_hash, property_id, occurred_at, balance_date,
    payment_mode, status, amount_cents, contribution_cents, created_at, created_by_user_id, approved_at,
    approved_by_user_id, updated_at)
SELECT 1 + (n * 7919) % $3::bigint, 'revenue', n - 1000000000000, 1, 1, uuid_send(gen_random_uuid()), 1000000000000,
       now(), current_date, 'cash', 'approved', 100, 100, now(), 1, now(), 1, now()
FROM generate_series($1::bigint, $2::bigint) AS n
ORDER BY 1

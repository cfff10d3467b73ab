-- append_snapshots: transactions that are new get their first snapshot.
-- Key order: neighbours in the index are written one after the other.
INSERT INTO event_store.snapshots (
    org_id, aggregate_type, aggregate_id, version, hash_version, content_hash, property_id, occurred_at, balance_date,
    payment_mode, status, amount_cents, contribution_cents, created_at, created_by_user_id, approved_at,
    approved_by_user_id, updated_at)
SELECT org_id, aggregate_type, aggregate_id, version, hash_version, content_hash, property_id, occurred_at, balance_date,
       payment_mode, status, amount_cents, contribution_cents, created_at, created_by_user_id, approved_at,
       approved_by_user_id, recorded_at
FROM staging_events
WHERE booking = 'new'
ORDER BY org_id, aggregate_type, aggregate_id

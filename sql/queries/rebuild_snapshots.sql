-- rebuild_snapshots: the snapshots of some organisations, by transaction.
SELECT org_id, aggregate_type, aggregate_id, version, hash_version, content_hash, property_id, occurred_at, balance_date,
       payment_mode, status, amount_cents, created_at, created_by_user_id, approved_at, approved_by_user_id, updated_at
FROM event_store.snapshots
WHERE org_id > $1 AND org_id <= $2 AND ($3::bigint[] IS NULL OR org_id = ANY ($3))
ORDER BY org_id, aggregate_type, aggregate_id

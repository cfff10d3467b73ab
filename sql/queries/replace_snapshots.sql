-- replace_snapshots: what a rebuild has staged becomes the snapshots, with every column: also what no event ever changes.
INSERT INTO event_store.snapshots AS s (
    org_id, aggregate_type, aggregate_id, version, hash_version, content_hash, property_id, occurred_at, balance_date,
    payment_mode, status, amount_cents, contribution_cents, created_at, created_by_user_id, approved_at,
    approved_by_user_id, updated_at)
SELECT org_id, aggregate_type, aggregate_id, version, hash_version, content_hash, property_id, occurred_at, balance_date,
       payment_mode, status, amount_cents, contribution_cents, created_at, created_by_user_id, approved_at,
       approved_by_user_id, recorded_at
FROM staging_events
ORDER BY org_id, aggregate_type, aggregate_id
ON CONFLICT (org_id, aggregate_type, aggregate_id) DO UPDATE
SET version             = excluded.version,
    hash_version        = excluded.hash_version,
    content_hash        = excluded.content_hash,
    property_id         = excluded.property_id,
    occurred_at         = excluded.occurred_at,
    balance_date        = excluded.balance_date,
    payment_mode        = excluded.payment_mode,
    status              = excluded.status,
    amount_cents        = excluded.amount_cents,
    contribution_cents  = excluded.contribution_cents,
    created_at          = excluded.created_at,
    created_by_user_id  = excluded.created_by_user_id,
    approved_at         = excluded.approved_at,
    approved_by_user_id = excluded.approved_by_user_id,
    updated_at          = excluded.updated_at

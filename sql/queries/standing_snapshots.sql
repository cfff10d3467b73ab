-- standing_snapshots: the snapshots of some transactions, as rebuild_snapshots reads them.
SELECT s.org_id, s.aggregate_type, s.aggregate_id, s.version, s.hash_version, s.content_hash, s.property_id, s.occurred_at,
       s.balance_date, s.payment_mode, s.status, s.amount_cents, s.created_at, s.created_by_user_id, s.approved_at,
       s.approved_by_user_id, s.updated_at
FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS k (org_id, aggregate_type, aggregate_id)
JOIN event_store.snapshots AS s USING (org_id, aggregate_type, aggregate_id)

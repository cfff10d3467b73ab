-- snapshots: the newest version of each transaction, and what is booked for it.
SELECT org_id, aggregate_type, aggregate_id,
       version, property_id, occurred_at, balance_date, payment_mode, status, amount_cents, contribution_cents,
       hash_version, content_hash
FROM event_store.snapshots

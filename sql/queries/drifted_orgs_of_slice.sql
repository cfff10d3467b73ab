-- drifted_orgs_of_slice: organisations of slice $2 of $1 of which a drift stands open.
SELECT DISTINCT org_id
FROM ops.drifts
WHERE repaired_at IS NULL AND satisfies_hash_partition('event_store.snapshots'::regclass, $1, $2, org_id)

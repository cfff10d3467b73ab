-- settle_drifts: drifts of a scope that were not found any more at $4; $5 says by what they were made right.
UPDATE ops.drifts
SET repaired_at = $4, repaired_by = $5
WHERE repaired_at IS NULL AND last_seen_at < $4
  AND CASE
      WHEN $3::bigint[] IS NULL THEN satisfies_hash_partition('event_store.snapshots'::regclass, $1, $2, org_id)
      ELSE org_id = ANY ($3)
      END

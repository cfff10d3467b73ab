-- settle_drifts: drifts of organisations that were looked at closely, and were not found any more at $2; $3 says by what they were made right.
UPDATE ops.drifts
SET repaired_at = $2, repaired_by = $3
WHERE repaired_at IS NULL AND last_seen_at < $2 AND org_id = ANY ($1::bigint[])

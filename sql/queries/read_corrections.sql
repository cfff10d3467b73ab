-- read_corrections: of some corrections those that were applied before, with what they said.
SELECT c.org_id, c.correction_id, c.hash_version, c.content_hash
FROM unnest($1::bigint[], $2::uuid[]) AS k (org_id, correction_id)
JOIN ops.balance_corrections AS c USING (org_id, correction_id)

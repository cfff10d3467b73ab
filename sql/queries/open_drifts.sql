-- open_drifts: drifts of organisations above $1 that stand open, of these organisations only where $2 names some.
SELECT org_id, kind, subject, differs, before::text, after::text, first_seen_at, last_seen_at
FROM ops.drifts
WHERE repaired_at IS NULL AND org_id > $1 AND ($2::bigint[] IS NULL OR org_id = ANY ($2))
ORDER BY org_id, kind, subject
LIMIT $3

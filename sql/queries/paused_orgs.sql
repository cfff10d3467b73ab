-- paused_orgs: those of some organisations whose records are set aside now.
SELECT org_id
FROM ops.org_pauses
WHERE resumed_at IS NULL AND org_id = ANY ($1::bigint[])

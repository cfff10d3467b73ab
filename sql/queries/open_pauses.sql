-- open_pauses: every organisation that is paused, and since when, by whom and why.
SELECT org_id, paused_at, paused_by, reason
FROM ops.org_pauses
WHERE resumed_at IS NULL
ORDER BY org_id

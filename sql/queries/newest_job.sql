-- newest_job: the last job of a kind: one that is not done goes on where it stands.
SELECT job_id, state, progress::text
FROM ops.jobs
WHERE kind = $1
ORDER BY started_at DESC
LIMIT 1

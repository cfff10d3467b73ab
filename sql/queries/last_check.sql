-- last_check: the last finished check that has seen everything up to where it began.
SELECT progress::text, updated_at
FROM ops.jobs
WHERE kind IN ('check full', 'check every byte', 'check changes') AND state = 'done' AND (progress ->> 'whole')::boolean
ORDER BY started_at DESC
LIMIT 1

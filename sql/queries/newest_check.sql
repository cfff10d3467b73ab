-- newest_check: the newest finished check of all that it had to look at, whether or not it could record all that it found.
SELECT progress::text
FROM ops.jobs
WHERE kind IN ('check full', 'check every byte', 'check changes') AND state = 'done'
ORDER BY started_at DESC
LIMIT 1

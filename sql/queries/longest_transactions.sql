-- longest_transactions: which transactions hold, or wait for, a lock on any table of ours, the oldest first.
SELECT DISTINCT a.pid, coalesce(nullif(a.application_name, ''), a.backend_type) AS who, extract(epoch FROM now() - a.xact_start)::float8 AS seconds
FROM pg_class AS c
JOIN pg_locks AS l ON l.relation = c.oid
JOIN pg_stat_activity AS a ON a.pid = l.pid AND a.datname = current_database()
WHERE c.relnamespace::regnamespace::text IN ('finance', 'event_store', 'read_models', 'ops')
  AND a.pid <> pg_backend_pid() AND a.xact_start IS NOT NULL
ORDER BY seconds DESC
LIMIT 5

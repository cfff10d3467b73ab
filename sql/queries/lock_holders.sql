-- lock_holders: which transactions hold, or wait for, a lock on a table or its partitions, the oldest first.
SELECT DISTINCT a.pid, coalesce(nullif(a.application_name, ''), a.backend_type) AS who, extract(epoch FROM now() - a.xact_start)::float8 AS seconds
FROM pg_partition_tree($1::text::regclass) AS t
JOIN pg_locks AS l ON l.relation = t.relid
JOIN pg_stat_activity AS a ON a.pid = l.pid AND a.datname = current_database()
WHERE a.pid <> pg_backend_pid() AND a.xact_start IS NOT NULL
ORDER BY seconds DESC
LIMIT 5

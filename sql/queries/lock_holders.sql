-- lock_holders: which other sessions have held or awaited a lock on a table or its partitions, the longest first.
SELECT DISTINCT a.pid, a.application_name, a.state, extract(epoch FROM now() - a.xact_start)::float8 AS seconds
FROM pg_partition_tree($1::text::regclass) AS t
JOIN pg_locks AS l ON l.relation = t.relid AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE a.pid <> pg_backend_pid() AND a.xact_start IS NOT NULL
ORDER BY seconds DESC
LIMIT 5

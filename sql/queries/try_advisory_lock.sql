-- try_advisory_lock: whether a lock of this session was free, and is ours now.
SELECT pg_try_advisory_lock($1)

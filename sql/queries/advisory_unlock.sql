-- advisory_unlock: the lock of this session is free again.
SELECT pg_advisory_unlock($1)

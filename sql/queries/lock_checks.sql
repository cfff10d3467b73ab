-- lock_checks: whether nobody else checks the books; holds until the connection ends ("CHECK").
SELECT pg_try_advisory_lock(x'434845434B'::bigint)

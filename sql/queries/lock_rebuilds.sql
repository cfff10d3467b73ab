-- lock_rebuilds: whether nobody else rebuilds. What one finds wrong, another might mend before it. Held until the connection ends.
SELECT pg_try_advisory_lock(hashtext('folio rebuild'))

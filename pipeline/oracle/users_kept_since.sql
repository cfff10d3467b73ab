-- users_kept_since: when the table of users was made; names that were given before are not in it.
SELECT applied
FROM public._pogo_migration
WHERE migration_id LIKE '%\_reads'

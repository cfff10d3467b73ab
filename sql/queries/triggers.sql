-- triggers: every trigger of our schemas, and whether it fires for whoever writes.
-- Those that PostgreSQL itself made for a foreign key are told only where they do not fire.
SELECT n.nspname || '.' || c.relname AS table_name, t.tgname AS name, p.pronamespace::regnamespace::text || '.' || p.proname AS function,
       t.tgenabled IN ('O', 'A') AS enabled
FROM pg_trigger AS t
JOIN pg_class AS c ON c.oid = t.tgrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_proc AS p ON p.oid = t.tgfoid
WHERE n.nspname IN ('finance', 'event_store', 'read_models', 'ops') AND (NOT t.tgisinternal OR t.tgenabled NOT IN ('O', 'A'))
ORDER BY 1, 2

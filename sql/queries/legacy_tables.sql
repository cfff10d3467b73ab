-- legacy_tables: tables and views of the platform before, by its names, wherever they are; how many rows the planner believes in.
SELECT n.nspname || '.' || c.relname AS name, regexp_replace(c.relname, '_legacy$', '') AS origin,
       c.relkind = 'v' AS is_view, CASE WHEN c.relkind <> 'v' AND c.reltuples >= 0 THEN c.reltuples::bigint END AS row_count
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname IN ('revenues', 'expenses', 'daily_cash_balances', 'revenues_legacy', 'expenses_legacy',
                    'daily_cash_balances_legacy')
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY 1

-- count_partitions: every row of the partitioned tables, counted by partition, and what tells whether each lies within its bounds.
-- One statement, and so one snapshot: what a worker commits meanwhile is in all of the counts, or in none.
--   oldest, newest   of the column that a month goes by
--   strays           rows of a hash partition whose organisation belongs to another one
--   kept_…           transactions that have, or must have, a row of revenues or expenses: what occurred since retention's edge.
WITH hashed AS MATERIALIZED (
    SELECT c.oid, i.inhparent, substring(b.bounds FROM 'modulus (\d+)')::integer AS modulus,
           substring(b.bounds FROM 'remainder (\d+)')::integer AS remainder
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhrelid,
    LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS bounds) AS b
    WHERE i.inhparent IN ('finance.daily_cash_balances_partitioned'::regclass, 'event_store.snapshots'::regclass)
), edge AS MATERIALIZED (
    SELECT ops.transactions_kept_since() AS since
), counted AS (
    SELECT 'finance.revenues_partitioned' AS parent, r.tableoid, count(*) AS row_count, min(r.occurred_at) AS oldest,
           max(r.occurred_at) AS newest, 0::bigint AS strays,
           count(*) FILTER (WHERE r.occurred_at >= (SELECT since FROM edge)) AS kept_revenues, 0::bigint AS kept_expenses
    FROM finance.revenues_partitioned AS r
    GROUP BY r.tableoid
    UNION ALL
    SELECT 'finance.expenses_partitioned', e.tableoid, count(*), min(e.occurred_at), max(e.occurred_at), 0, 0,
           count(*) FILTER (WHERE e.occurred_at >= (SELECT since FROM edge))
    FROM finance.expenses_partitioned AS e
    GROUP BY e.tableoid
    UNION ALL
    SELECT 'event_store.events', v.tableoid, count(*), min(v.recorded_at), max(v.recorded_at), 0, 0, 0
    FROM event_store.events AS v
    GROUP BY v.tableoid
    UNION ALL
    SELECT 'finance.daily_cash_balances_partitioned', b.tableoid, count(*), NULL, NULL,
           count(*) FILTER (WHERE NOT satisfies_hash_partition(h.inhparent, h.modulus, h.remainder, b.org_id)), 0, 0
    FROM finance.daily_cash_balances_partitioned AS b
    JOIN hashed AS h ON h.oid = b.tableoid
    GROUP BY b.tableoid
    UNION ALL
    SELECT 'event_store.snapshots', s.tableoid, count(*), NULL, NULL,
           count(*) FILTER (WHERE NOT satisfies_hash_partition(h.inhparent, h.modulus, h.remainder, s.org_id)),
           count(*) FILTER (WHERE s.aggregate_type = 'revenue' AND s.occurred_at >= (SELECT since FROM edge)),
           count(*) FILTER (WHERE s.aggregate_type = 'expense' AND s.occurred_at >= (SELECT since FROM edge))
    FROM event_store.snapshots AS s
    JOIN hashed AS h ON h.oid = s.tableoid
    GROUP BY s.tableoid
)
SELECT n.parent, c.relname AS partition, n.row_count, n.oldest, n.newest, n.strays, n.kept_revenues, n.kept_expenses,
       nullif((SELECT since FROM edge), '-infinity') AS kept_since
FROM counted AS n
JOIN pg_class AS c ON c.oid = n.tableoid
ORDER BY n.parent, c.relname

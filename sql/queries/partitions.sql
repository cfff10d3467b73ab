-- partitions: the partitions of some tables, with their bounds, their bytes, and how many rows the planner believes in.
SELECT t.parent, c.relname AS partition,
       substring(b.bounds FROM 'FROM \(''(.+?)''\)')::timestamptz AS lower_bound,
       substring(b.bounds FROM 'TO \(''(.+?)''\)')::timestamptz AS upper_bound,
       substring(b.bounds FROM 'modulus (\d+)')::integer AS modulus,
       substring(b.bounds FROM 'remainder (\d+)')::integer AS remainder,
       greatest(c.reltuples, 0)::bigint AS row_count, pg_total_relation_size(c.oid) AS bytes
FROM unnest($1::text[]) AS t (parent)
JOIN pg_inherits AS i ON i.inhparent = t.parent::regclass
JOIN pg_class AS c ON c.oid = i.inhrelid,
LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS bounds) AS b
ORDER BY 1, remainder, lower_bound NULLS LAST

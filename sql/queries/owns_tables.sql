-- owns_tables: whether this login may change the shape of every one of some tables.
SELECT bool_and(pg_has_role(c.relowner, 'USAGE'))
FROM unnest($1::text[]) AS t (relation)
JOIN pg_class AS c ON c.oid = t.relation::regclass

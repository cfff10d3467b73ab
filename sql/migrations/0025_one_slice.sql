-- A check that takes everything for one slice asks of no row which slice it is in
-- depends: 0024_rebuilt_names

-- migrate: apply

-- The planner knows the arguments of a check's functions: of `slices = 1 OR …` nothing is left where there is one.
DO $$
DECLARE
    relation record;
BEGIN
    FOR relation IN
        SELECT * FROM (VALUES ('event_store.events', 'events'), ('finance.revenues_partitioned', 'revenues'),
                              ('finance.expenses_partitioned', 'expenses'), ('ops.balance_adjustments', 'adjustments'),
                              ('ops.balance_corrections', 'corrections')) AS r (parent, name)
    LOOP
        EXECUTE format(
            'CREATE OR REPLACE FUNCTION ops.checked_%s(slices integer, slice integer, orgs bigint[]) RETURNS SETOF %s LANGUAGE sql STABLE '
            'PARALLEL SAFE AS %L', relation.name, relation.parent,
            format('SELECT * FROM %s WHERE slice IS NOT NULL '
                   'AND (slices = 1 OR satisfies_hash_partition(''event_store.snapshots''::regclass, slices, slice, org_id))'
                   ' UNION ALL SELECT * FROM %s WHERE org_id = ANY (orgs)', relation.parent, relation.parent));
    END LOOP;
END
$$;

-- migrate: rollback

DO $$
DECLARE
    relation record;
BEGIN
    FOR relation IN
        SELECT * FROM (VALUES ('event_store.events', 'events'), ('finance.revenues_partitioned', 'revenues'),
                              ('finance.expenses_partitioned', 'expenses'), ('ops.balance_adjustments', 'adjustments'),
                              ('ops.balance_corrections', 'corrections')) AS r (parent, name)
    LOOP
        EXECUTE format(
            'CREATE OR REPLACE FUNCTION ops.checked_%s(slices integer, slice integer, orgs bigint[]) RETURNS SETOF %s LANGUAGE sql STABLE '
            'PARALLEL SAFE AS %L', relation.name, relation.parent,
            format('SELECT * FROM %s WHERE slice IS NOT NULL '
                   'AND satisfies_hash_partition(''event_store.snapshots''::regclass, slices, slice, org_id)'
                   ' UNION ALL SELECT * FROM %s WHERE org_id = ANY (orgs)', relation.parent, relation.parent));
    END LOOP;
END
$$;

-- Tenants never see each other: a reader sees the organisation it names, and nothing when it names none
-- depends: 0007_months

-- migrate: apply

DO $$
DECLARE
    tenant_table regclass;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY[
        'finance.properties', 'finance.property_time_zones', 'finance.revenues_partitioned',
        'finance.expenses_partitioned', 'finance.daily_cash_balances_partitioned'
    ]::regclass[] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY own_org ON %s FOR SELECT TO folio_reader '
            'USING (org_id = nullif(current_setting(''folio.org_id'', true), '''')::bigint)', tenant_table);
        EXECUTE format('CREATE POLICY every_org ON %s TO folio_writer USING (true) WITH CHECK (true)', tenant_table);
        EXECUTE format('CREATE POLICY every_org_read ON %s FOR SELECT TO folio_operator USING (true)', tenant_table);
        -- On the parent only: a query that names a partition would pass by its parent's policies.
        EXECUTE format('GRANT SELECT ON %s TO folio_reader', tenant_table);
    END LOOP;
END
$$;

-- migrate: rollback

DO $$
DECLARE
    tenant_table regclass;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY[
        'finance.properties', 'finance.property_time_zones', 'finance.revenues_partitioned',
        'finance.expenses_partitioned', 'finance.daily_cash_balances_partitioned'
    ]::regclass[] LOOP
        EXECUTE format('DROP POLICY own_org ON %s', tenant_table);
        EXECUTE format('DROP POLICY every_org ON %s', tenant_table);
        EXECUTE format('DROP POLICY every_org_read ON %s', tenant_table);
        EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('REVOKE SELECT ON %s FROM folio_reader', tenant_table);
    END LOOP;
END
$$;

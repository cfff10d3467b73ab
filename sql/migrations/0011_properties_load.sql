-- Operators load properties: what they may write for that, and nothing else
-- depends: 0010_redrives

-- migrate: apply

GRANT INSERT ON finance.properties, finance.property_time_zones TO folio_operator;
-- Never the key, and never a deletion: what a property was stays readable.
GRANT UPDATE (name, currency, opening_cash_cents, self_registered) ON finance.properties TO folio_operator;
GRANT UPDATE (time_zone) ON finance.property_time_zones TO folio_operator;
-- Allows the lock of the row as well (FOR UPDATE asks for the right to update one column), but no other column.
GRANT UPDATE (properties_revision) ON ops.lanes TO folio_operator;

CREATE POLICY every_org_load ON finance.properties FOR INSERT TO folio_operator WITH CHECK (true);
CREATE POLICY every_org_change ON finance.properties FOR UPDATE TO folio_operator USING (true) WITH CHECK (true);
CREATE POLICY every_org_load ON finance.property_time_zones FOR INSERT TO folio_operator WITH CHECK (true);
CREATE POLICY every_org_change ON finance.property_time_zones FOR UPDATE TO folio_operator
    USING (true) WITH CHECK (true);

-- migrate: rollback

DROP POLICY every_org_change ON finance.property_time_zones;
DROP POLICY every_org_load ON finance.property_time_zones;
DROP POLICY every_org_change ON finance.properties;
DROP POLICY every_org_load ON finance.properties;
REVOKE UPDATE (properties_revision) ON ops.lanes FROM folio_operator;
REVOKE UPDATE (time_zone) ON finance.property_time_zones FROM folio_operator;
REVOKE UPDATE (name, currency, opening_cash_cents, self_registered) ON finance.properties FROM folio_operator;
REVOKE INSERT ON finance.properties, finance.property_time_zones FROM folio_operator;

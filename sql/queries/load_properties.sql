-- load_properties: properties that are new. One that has meanwhile registered itself is left alone, and not counted.
INSERT INTO finance.properties (
    org_id, property_id, name, currency, opening_cash_cents, self_registered, created_at, known_since)
SELECT org_id, property_id, name, currency, opening_cash_cents, false, now(), $6
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[])
    AS k (org_id, property_id, name, currency, opening_cash_cents)
ORDER BY org_id, property_id
ON CONFLICT (org_id, property_id) DO NOTHING

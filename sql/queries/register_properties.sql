-- register_properties: properties that nobody loaded, as their first event makes them.
WITH made AS (
    INSERT INTO finance.properties (
        org_id, property_id, currency, opening_cash_cents, self_registered, created_at, known_since)
    SELECT org_id, property_id, currency, 0, true, $5, $5
    FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS k (org_id, property_id, currency)
    ORDER BY org_id, property_id
    RETURNING org_id, property_id
)
INSERT INTO finance.property_time_zones (org_id, property_id, valid_from, time_zone)
SELECT org_id, property_id, '0001-01-01 00:00:00+00', $4
FROM made

-- list_properties: a page of the properties, in order of their keys, each with its calendar.
SELECT p.org_id, p.property_id, p.name, p.currency, p.opening_cash_cents, p.self_registered,
       z.valid_froms, z.time_zones
FROM (
    SELECT org_id, property_id, name, currency, opening_cash_cents, self_registered
    FROM finance.properties
    WHERE (org_id, property_id) > ($1::bigint, $2::bigint) AND org_id <= $3::bigint
    ORDER BY org_id, property_id
    LIMIT $4
) AS p
CROSS JOIN LATERAL (
    SELECT array_agg(t.valid_from ORDER BY t.valid_from) AS valid_froms,
           array_agg(t.time_zone ORDER BY t.valid_from) AS time_zones
    FROM finance.property_time_zones AS t
    WHERE t.org_id = p.org_id AND t.property_id = p.property_id
) AS z
ORDER BY p.org_id, p.property_id

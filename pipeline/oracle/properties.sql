-- properties: every property with its opening cash and its first time zone.
SELECT p.org_id, p.property_id, p.self_registered, p.currency, p.opening_cash_cents,
       (SELECT z.time_zone
        FROM finance.property_time_zones AS z
        WHERE z.org_id = p.org_id AND z.property_id = p.property_id
        ORDER BY z.valid_from
        LIMIT 1) AS first_time_zone
FROM finance.properties AS p

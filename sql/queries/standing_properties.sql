-- standing_properties: what stands of the properties that a load names, and whether any of their days has a balance.
SELECT p.org_id, p.property_id, p.name, p.currency, p.opening_cash_cents, p.self_registered,
       z.valid_froms, z.time_zones,
       EXISTS (SELECT FROM finance.daily_cash_balances_partitioned AS b
               WHERE b.org_id = p.org_id AND b.property_id = p.property_id) AS has_balances
FROM unnest($1::bigint[], $2::bigint[]) AS k (org_id, property_id)
JOIN finance.properties AS p USING (org_id, property_id)
CROSS JOIN LATERAL (
    SELECT array_agg(t.valid_from ORDER BY t.valid_from) AS valid_froms,
           array_agg(t.time_zone ORDER BY t.valid_from) AS time_zones
    FROM finance.property_time_zones AS t
    WHERE t.org_id = p.org_id AND t.property_id = p.property_id
) AS z

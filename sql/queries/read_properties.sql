-- read_properties: the properties of a batch that the writer does not remember, each with its calendar.
SELECT p.org_id, p.property_id, p.currency, p.opening_cash_cents, z.valid_from, z.time_zone
FROM unnest($1::bigint[], $2::bigint[]) AS k (org_id, property_id)
JOIN finance.properties AS p USING (org_id, property_id)
JOIN finance.property_time_zones AS z USING (org_id, property_id)
ORDER BY p.org_id, p.property_id, z.valid_from

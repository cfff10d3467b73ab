-- change_properties: properties as a load wants them. Whatever registered itself is from now on a loaded one.
UPDATE finance.properties AS p
SET name = k.name, currency = k.currency, opening_cash_cents = k.opening_cash_cents, self_registered = false
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[])
    AS k (org_id, property_id, name, currency, opening_cash_cents)
WHERE p.org_id = k.org_id AND p.property_id = k.property_id

-- opening_cash: what the first day of each property opens with.
SELECT org_id, property_id, opening_cash_cents
FROM unnest($1::bigint[], $2::bigint[]) AS k (org_id, property_id)
JOIN finance.properties USING (org_id, property_id)

-- worst_nightly: the findings of a night audit that are about the most money.
SELECT org_id, property_id, balance_date, finding, cents
FROM ops.night_audit_days
WHERE report_id = $1
ORDER BY abs(cents) DESC, org_id, property_id
LIMIT $2

-- find_nightly: of slice $2 of $1, days whose count does not agree, or whose cash moved and nobody counted it.
-- $4 and $5: by time zone the day that has ended there.
INSERT INTO ops.night_audit_days (report_id, org_id, property_id, balance_date, finding, cents)
SELECT $3, b.org_id, b.property_id, b.balance_date,
       CASE WHEN b.declared_closing_cents IS NULL THEN 'missing_count' ELSE 'discrepancy' END,
       CASE WHEN b.declared_closing_cents IS NULL THEN b.cash_received_cents + b.cash_expenses_cents
            ELSE b.balance_discrepancy_cents END
FROM ops.checked_balances($1, $2, NULL) AS b
JOIN LATERAL (
    SELECT z.time_zone
    FROM finance.property_time_zones AS z
    WHERE z.org_id = b.org_id AND z.property_id = b.property_id AND z.valid_from <= now()
    ORDER BY z.valid_from DESC
    LIMIT 1
) AS lives ON true
JOIN unnest($4::text[], $5::date[]) AS ended (time_zone, balance_date)
    ON ended.time_zone = lives.time_zone AND ended.balance_date = b.balance_date
WHERE b.balance_date = ANY ($5)
  AND (b.balance_discrepancy_cents <> 0
       OR b.declared_closing_cents IS NULL AND (b.cash_received_cents <> 0 OR b.cash_expenses_cents <> 0))

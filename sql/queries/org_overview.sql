-- org_overview: a page of an organisation's properties, each with its latest day on or before a date.
SELECT p.property_id, p.name, p.currency, p.opening_cash_cents,
       b.balance_date, b.version, b.opening_balance_cents, b.cash_received_cents, b.bank_received_cents,
       b.cash_expenses_cents, b.bank_expenses_cents, b.calculated_closing_balance_cents, b.declared_closing_cents,
       b.closing_balance_cents, b.balance_discrepancy_cents, b.last_event_id, b.updated_at
FROM (
    SELECT property_id, name, currency, opening_cash_cents
    FROM finance.properties
    WHERE org_id = $1 AND property_id > $2
    ORDER BY property_id
    LIMIT $4
) AS p
LEFT JOIN LATERAL (
    SELECT *
    FROM finance.daily_cash_balances_partitioned AS d
    WHERE d.org_id = $1 AND d.property_id = p.property_id AND d.balance_date <= $3
    ORDER BY d.balance_date DESC
    LIMIT 1
) AS b ON true
ORDER BY p.property_id

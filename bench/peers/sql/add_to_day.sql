-- What one transaction adds to its day.
INSERT INTO daily_balances AS days
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (org_id, property_id, balance_date) DO UPDATE SET
    cash_received_cents = days.cash_received_cents + excluded.cash_received_cents,
    bank_received_cents = days.bank_received_cents + excluded.bank_received_cents,
    cash_expenses_cents = days.cash_expenses_cents + excluded.cash_expenses_cents,
    bank_expenses_cents = days.bank_expenses_cents + excluded.bank_expenses_cents

-- latest_balance: the latest day of a property with a row, on or before a date.
SELECT property_id, balance_date, version, opening_balance_cents, cash_received_cents, bank_received_cents,
       cash_expenses_cents, bank_expenses_cents, calculated_closing_balance_cents, declared_closing_cents,
       closing_balance_cents, balance_discrepancy_cents, last_event_id, updated_at
FROM finance.daily_cash_balances_partitioned
WHERE org_id = $1 AND property_id = $2 AND balance_date <= $3
ORDER BY balance_date DESC
LIMIT 1

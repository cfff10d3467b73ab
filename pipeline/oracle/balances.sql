-- balances: every day of every property, each property's days together.
SELECT org_id, property_id, balance_date, version, updated_at, opening_balance_cents,
       cash_received_cents, bank_received_cents, cash_expenses_cents, bank_expenses_cents,
       calculated_closing_balance_cents, declared_closing_cents, closing_balance_cents, balance_discrepancy_cents
FROM finance.daily_cash_balances_partitioned
ORDER BY org_id, property_id, balance_date

-- upsert_balances: the rows that a batch changes, each with its next version.
-- Key order: two writers that meet on one key must meet in the same order, or they deadlock.
INSERT INTO finance.daily_cash_balances_partitioned AS b
SELECT *
FROM staging_balances
WHERE version > 1
ORDER BY org_id, property_id, balance_date
ON CONFLICT (org_id, property_id, balance_date) DO UPDATE
SET version                          = excluded.version,
    opening_balance_cents            = excluded.opening_balance_cents,
    cash_received_cents              = excluded.cash_received_cents,
    bank_received_cents              = excluded.bank_received_cents,
    cash_expenses_cents              = excluded.cash_expenses_cents,
    bank_expenses_cents              = excluded.bank_expenses_cents,
    calculated_closing_balance_cents = excluded.calculated_closing_balance_cents,
    declared_closing_cents           = excluded.declared_closing_cents,
    closing_balance_cents            = excluded.closing_balance_cents,
    balance_discrepancy_cents        = excluded.balance_discrepancy_cents,
    last_event_id                    = excluded.last_event_id,
    updated_at                       = excluded.updated_at

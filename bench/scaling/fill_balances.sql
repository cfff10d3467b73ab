-- fill_balances: days of properties that no workload names, without movements.
INSERT INTO finance.daily_cash_balances_partitioned (
    org_id, property_id, balance_date, version, opening_balance_cents, cash_received_cents, bank_received_cents,
    cash_expenses_cents, bank_expenses_cents, calculated_closing_balance_cents, declared_closing_cents,
    closing_balance_cents, balance_discrepancy_cents, last_event_id, updated_at)
SELECT 1 + n % $3::bigint, 1000000000000 + (n / $3::bigint) / 80, current_date - ((n / $3::bigint) % 80)::integer, 1,
       0, 0, 0, 0, 0, 0, NULL, 0, 0, gen_random_uuid(), now()
FROM generate_series($1::bigint, $2::bigint) AS n
ORDER BY 1

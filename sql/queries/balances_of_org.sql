-- balances_of_org: the days of an organisation from one date to another, both included, of some properties or of all.
SELECT property_id, balance_date, version, opening_balance_cents, cash_received_cents, bank_received_cents,
       cash_expenses_cents, bank_expenses_cents, calculated_closing_balance_cents, declared_closing_cents,
       closing_balance_cents, balance_discrepancy_cents, last_event_id, updated_at
FROM finance.daily_cash_balances_partitioned
WHERE org_id = $1
  AND ($2::bigint[] IS NULL OR property_id = ANY ($2))
  AND balance_date >= coalesce($3::date, '-infinity') AND balance_date <= coalesce($4::date, 'infinity')
ORDER BY property_id, balance_date
LIMIT $5

-- Days whose figures are not what the oracle says. An absent day equals one of zeros.
SELECT count(*)
FROM expected.daily_balances AS told
FULL JOIN daily_balances AS found USING (org_id, property_id, balance_date)
WHERE coalesce(told.cash_received_cents, 0) <> coalesce(found.cash_received_cents, 0)
   OR coalesce(told.bank_received_cents, 0) <> coalesce(found.bank_received_cents, 0)
   OR coalesce(told.cash_expenses_cents, 0) <> coalesce(found.cash_expenses_cents, 0)
   OR coalesce(told.bank_expenses_cents, 0) <> coalesce(found.bank_expenses_cents, 0)

-- What a batch adds to its days, each of which is named once.
INSERT INTO daily_balances AS days
SELECT *
FROM unnest($1::bigint[], $2::bigint[], $3::date[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
ON CONFLICT (org_id, property_id, balance_date) DO UPDATE SET
    cash_received_cents = days.cash_received_cents + excluded.cash_received_cents,
    bank_received_cents = days.bank_received_cents + excluded.bank_received_cents,
    cash_expenses_cents = days.cash_expenses_cents + excluded.cash_expenses_cents,
    bank_expenses_cents = days.bank_expenses_cents + excluded.bank_expenses_cents

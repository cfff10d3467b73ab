-- append_adjustments: what the figures corrections of a batch add to their days: movements before, and after.
INSERT INTO ops.balance_adjustments (
    org_id, property_id, balance_date, correction_id, cash_received_before_cents, bank_received_before_cents,
    cash_expenses_before_cents, bank_expenses_before_cents, cash_received_after_cents, bank_received_after_cents,
    cash_expenses_after_cents, bank_expenses_after_cents, recorded_at)
SELECT *
FROM unnest(
    $1::bigint[], $2::bigint[], $3::date[], $4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
    $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::timestamptz[])
ORDER BY 1, 2, 3, 4

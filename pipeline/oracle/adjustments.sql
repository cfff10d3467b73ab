-- adjustments: what figures corrections did to the movements of their days.
SELECT org_id, property_id, balance_date, uuid_send(correction_id) AS correction_id,
       cash_received_before_cents, bank_received_before_cents, cash_expenses_before_cents, bank_expenses_before_cents,
       cash_received_after_cents, bank_received_after_cents, cash_expenses_after_cents, bank_expenses_after_cents,
       recorded_at
FROM ops.balance_adjustments

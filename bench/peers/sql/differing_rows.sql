-- Rows that are missing, too many, or not what the oracle says. The peer's schema is the search path.
SELECT count(*)
FROM expected.transactions AS told
FULL JOIN transactions AS found USING (org_id, id)
WHERE (told.type, told.version, told.property_id, told.occurred_at, told.balance_date, told.amount_cents,
       told.payment_mode, told.status, told.currency, told.category, told.description, told.bank_reference,
       told.source, told.created_by_user_id)
    IS DISTINCT FROM
      (found.type, found.version, found.property_id, found.occurred_at, found.balance_date, found.amount_cents,
       found.payment_mode, found.status, found.currency, found.category, found.description, found.bank_reference,
       found.source, found.created_by_user_id)

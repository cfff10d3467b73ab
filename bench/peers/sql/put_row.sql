-- One transaction; the newer state takes the place of the older.
INSERT INTO transactions (org_id, id, type, version, property_id, occurred_at, balance_date, amount_cents,
                          payment_mode, status, currency, category, description, bank_reference, source, created_by_user_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (org_id, id) DO UPDATE SET
    type = excluded.type,
    version = excluded.version,
    property_id = excluded.property_id,
    occurred_at = excluded.occurred_at,
    balance_date = excluded.balance_date,
    amount_cents = excluded.amount_cents,
    payment_mode = excluded.payment_mode,
    status = excluded.status,
    currency = excluded.currency,
    category = excluded.category,
    description = excluded.description,
    bank_reference = excluded.bank_reference,
    source = excluded.source,
    created_by_user_id = excluded.created_by_user_id

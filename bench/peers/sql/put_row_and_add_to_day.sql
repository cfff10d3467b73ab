-- Both at once: one round trip, and a transaction of its own.
WITH put AS (
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
)
INSERT INTO daily_balances AS days
VALUES ($1, $5, $7, $17, $18, $19, $20)
ON CONFLICT (org_id, property_id, balance_date) DO UPDATE SET
    cash_received_cents = days.cash_received_cents + excluded.cash_received_cents,
    bank_received_cents = days.bank_received_cents + excluded.bank_received_cents,
    cash_expenses_cents = days.cash_expenses_cents + excluded.cash_expenses_cents,
    bank_expenses_cents = days.bank_expenses_cents + excluded.bank_expenses_cents

-- refresh_monthly_summaries: each month of some organisations, each from a date on, by its balances; counts the rows written.
-- Balances and snapshots outlive the transactions of a month, so that a month is right long after these are gone.
WITH wanted AS (
    SELECT org_id, date_trunc('month', since)::date AS since
    FROM unnest($3::bigint[], $4::date[]) AS w (org_id, since)
), approved AS (
    SELECT s.org_id, s.property_id, date_trunc('month', s.balance_date)::date AS month, count(*) AS transactions
    FROM event_store.snapshots AS s
    LEFT JOIN wanted AS w USING (org_id)
    WHERE s.org_id > $1 AND s.org_id <= $2 AND ($3 IS NULL OR s.org_id = ANY ($3) AND s.balance_date >= w.since)
      AND s.status = 'approved'
    GROUP BY 1, 2, 3
), said AS (
    SELECT b.org_id, b.property_id, date_trunc('month', b.balance_date)::date AS month,
           (array_agg(opening_balance_cents ORDER BY balance_date))[1] AS opening,
           sum(cash_received_cents) AS cash_received,
           sum(bank_received_cents) AS bank_received,
           sum(cash_expenses_cents) AS cash_expenses,
           sum(bank_expenses_cents) AS bank_expenses,
           (array_agg(closing_balance_cents ORDER BY balance_date DESC))[1] AS closing,
           sum(balance_discrepancy_cents) AS discrepancy,
           count(*) AS days,
           count(declared_closing_cents) AS counted_days
    FROM finance.daily_cash_balances_partitioned AS b
    LEFT JOIN wanted AS w USING (org_id)
    WHERE b.org_id > $1 AND b.org_id <= $2 AND ($3 IS NULL OR b.org_id = ANY ($3) AND b.balance_date >= w.since)
    GROUP BY 1, 2, 3
), surplus AS (
    DELETE FROM read_models.monthly_summaries AS r
    WHERE r.org_id > $1 AND r.org_id <= $2
      AND ($3 IS NULL OR r.org_id = ANY ($3) AND r.month >= (SELECT since FROM wanted AS w WHERE w.org_id = r.org_id))
      AND NOT EXISTS (SELECT FROM said AS s WHERE (s.org_id, s.property_id, s.month) = (r.org_id, r.property_id, r.month))
    RETURNING 1
), written AS (
    INSERT INTO read_models.monthly_summaries AS r
    SELECT org_id, property_id, month, opening, cash_received, bank_received, cash_expenses, bank_expenses, closing,
           discrepancy, days, counted_days, coalesce(transactions, 0), now()
    FROM said
    LEFT JOIN approved USING (org_id, property_id, month)
    ORDER BY org_id, property_id, month
    ON CONFLICT (org_id, property_id, month) DO UPDATE
    SET opening_balance_cents = excluded.opening_balance_cents,
        cash_received_cents   = excluded.cash_received_cents,
        bank_received_cents   = excluded.bank_received_cents,
        cash_expenses_cents   = excluded.cash_expenses_cents,
        bank_expenses_cents   = excluded.bank_expenses_cents,
        closing_balance_cents = excluded.closing_balance_cents,
        discrepancy_cents     = excluded.discrepancy_cents,
        day_count             = excluded.day_count,
        counted_day_count     = excluded.counted_day_count,
        transaction_count     = excluded.transaction_count,
        refreshed_at          = excluded.refreshed_at
    WHERE (r.opening_balance_cents, r.cash_received_cents, r.bank_received_cents, r.cash_expenses_cents,
           r.bank_expenses_cents, r.closing_balance_cents, r.discrepancy_cents, r.day_count, r.counted_day_count,
           r.transaction_count)
       <> (excluded.opening_balance_cents, excluded.cash_received_cents, excluded.bank_received_cents,
           excluded.cash_expenses_cents, excluded.bank_expenses_cents, excluded.closing_balance_cents,
           excluded.discrepancy_cents, excluded.day_count, excluded.counted_day_count, excluded.transaction_count)
    RETURNING 1
)
SELECT (SELECT count(*) FROM said) AS looked_at,
       (SELECT count(*) FROM surplus) + (SELECT count(*) FROM written) AS changed

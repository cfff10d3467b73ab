-- rebuild_booked: of some properties, what each day has moved by snapshots and adjustments, and what was counted last.
-- Each organisation is read once, however many of its properties are asked for: some more than these may come.
SELECT org_id, property_id, balance_date, sum(cash_received)::bigint AS cash_received_cents,
       sum(bank_received)::bigint AS bank_received_cents, sum(cash_expenses)::bigint AS cash_expenses_cents,
       sum(bank_expenses)::bigint AS bank_expenses_cents, max(declared) AS declared_closing_cents
FROM (
    SELECT s.org_id, s.property_id, s.balance_date,
           CASE WHEN (aggregate_type, payment_mode) = ('revenue', 'cash') THEN contribution_cents ELSE 0 END AS cash_received,
           CASE WHEN (aggregate_type, payment_mode) = ('revenue', 'bank') THEN contribution_cents ELSE 0 END AS bank_received,
           CASE WHEN (aggregate_type, payment_mode) = ('expense', 'cash') THEN contribution_cents ELSE 0 END AS cash_expenses,
           CASE WHEN (aggregate_type, payment_mode) = ('expense', 'bank') THEN contribution_cents ELSE 0 END AS bank_expenses,
           NULL::bigint AS declared
    FROM event_store.snapshots AS s
    WHERE s.org_id = ANY ($1::bigint[]) AND s.property_id = ANY ($2::bigint[]) AND s.contribution_cents <> 0
    UNION ALL
    SELECT a.org_id, a.property_id, a.balance_date, a.cash_received_cents, a.bank_received_cents, a.cash_expenses_cents,
           a.bank_expenses_cents, NULL
    FROM ops.balance_adjustments AS a
    WHERE a.org_id = ANY ($1::bigint[]) AND a.property_id = ANY ($2::bigint[])
    UNION ALL
    SELECT c.org_id, c.property_id, c.balance_date, 0, 0, 0, 0, c.declared_closing_cents
    FROM (
        SELECT DISTINCT ON (d.org_id, d.property_id, d.balance_date) d.org_id, d.property_id, d.balance_date,
               d.declared_closing_cents
        FROM ops.balance_corrections AS d
        WHERE d.org_id = ANY ($1::bigint[]) AND d.property_id = ANY ($2::bigint[]) AND d.kind = 'declared_closing'
        ORDER BY d.org_id, d.property_id, d.balance_date, d.recorded_at DESC
    ) AS c
) AS moved
GROUP BY org_id, property_id, balance_date
ORDER BY org_id, property_id, balance_date

-- rebuild_drifted: properties of some organisations with a day that is not what snapshots, adjustments and counts say.
-- Finds them by sets and writes nothing: what a day must be, the writer's own functions say once more under the lock.
WITH booked AS (
    SELECT org_id, property_id, balance_date, sum(cash_received)::bigint AS cash_received,
           sum(bank_received)::bigint AS bank_received, sum(cash_expenses)::bigint AS cash_expenses,
           sum(bank_expenses)::bigint AS bank_expenses, NULL::bigint AS declared
    FROM (
        SELECT org_id, property_id, balance_date,
               CASE WHEN aggregate_type = 'revenue' AND payment_mode = 'cash' THEN contribution_cents ELSE 0 END AS cash_received,
               CASE WHEN aggregate_type = 'revenue' AND payment_mode = 'bank' THEN contribution_cents ELSE 0 END AS bank_received,
               CASE WHEN aggregate_type = 'expense' AND payment_mode = 'cash' THEN contribution_cents ELSE 0 END AS cash_expenses,
               CASE WHEN aggregate_type = 'expense' AND payment_mode = 'bank' THEN contribution_cents ELSE 0 END AS bank_expenses
        FROM event_store.snapshots
        WHERE org_id > $1 AND org_id <= $2 AND ($3::bigint[] IS NULL OR org_id = ANY ($3)) AND contribution_cents <> 0
        UNION ALL
        SELECT org_id, property_id, balance_date, cash_received_cents, bank_received_cents, cash_expenses_cents,
               bank_expenses_cents
        FROM ops.balance_adjustments
        WHERE org_id > $1 AND org_id <= $2 AND ($3::bigint[] IS NULL OR org_id = ANY ($3))
    ) AS moved
    GROUP BY org_id, property_id, balance_date
), counted AS (
    SELECT DISTINCT ON (org_id, property_id, balance_date) org_id, property_id, balance_date, declared_closing_cents AS declared
    FROM ops.balance_corrections
    WHERE org_id > $1 AND org_id <= $2 AND ($3::bigint[] IS NULL OR org_id = ANY ($3)) AND kind = 'declared_closing'
    ORDER BY org_id, property_id, balance_date, recorded_at DESC
), stands AS (
    SELECT org_id, property_id, balance_date, opening_balance_cents, cash_received_cents, bank_received_cents,
           cash_expenses_cents, bank_expenses_cents, declared_closing_cents, closing_balance_cents
    FROM finance.daily_cash_balances_partitioned
    WHERE org_id > $1 AND org_id <= $2 AND ($3::bigint[] IS NULL OR org_id = ANY ($3))
), days AS (
    SELECT org_id, property_id, balance_date, s.org_id IS NOT NULL AS there, s.opening_balance_cents, s.closing_balance_cents,
           (s.cash_received_cents, s.bank_received_cents, s.cash_expenses_cents, s.bank_expenses_cents)
               = (coalesce(b.cash_received, 0), coalesce(b.bank_received, 0), coalesce(b.cash_expenses, 0),
                  coalesce(b.bank_expenses, 0))
               AND s.declared_closing_cents IS NOT DISTINCT FROM c.declared AS right_figures,
           c.declared IS NOT NULL OR (b.org_id IS NOT NULL
               AND (b.cash_received, b.bank_received, b.cash_expenses, b.bank_expenses) <> (0, 0, 0, 0)) AS needed
    FROM stands AS s
    FULL JOIN booked AS b USING (org_id, property_id, balance_date)
    FULL JOIN counted AS c USING (org_id, property_id, balance_date)
), opened AS (
    SELECT org_id, property_id, there, needed, right_figures, opening_balance_cents,
           lag(closing_balance_cents) OVER (PARTITION BY org_id, property_id ORDER BY balance_date) AS closing_before,
           row_number() OVER (PARTITION BY org_id, property_id ORDER BY balance_date) AS place
    FROM days
    WHERE there OR needed
)
SELECT o.org_id, o.property_id, count(*) AS day_count
FROM opened AS o
JOIN finance.properties AS p USING (org_id, property_id)
GROUP BY o.org_id, o.property_id
HAVING NOT bool_and(there AND right_figures AND opening_balance_cents
    = CASE place WHEN 1 THEN p.opening_cash_cents ELSE closing_before END)
ORDER BY o.org_id, o.property_id

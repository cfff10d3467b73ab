-- drifted_balances: days that are not what snapshots, adjustments and counts make of them, with what they ought to be.
-- Of the organisations $1. Snapshots that are known to be wrong are left out ($2 to $4: their keys), and what they ought to
-- book is put in their place ($5 to $10). Openings are carried here from the right figures of earlier days, not
-- from what stands there: so a wrong day does not put its successors in the wrong. A day without a row is one of zeros.
WITH moved AS (
    SELECT s.org_id, s.property_id, s.balance_date, s.aggregate_type, s.payment_mode, s.contribution_cents
    FROM event_store.snapshots AS s
    WHERE s.org_id = ANY ($1::bigint[]) AND s.contribution_cents <> 0 AND NOT EXISTS (
        SELECT FROM unnest($2::bigint[], $3::text[], $4::bigint[]) AS wrong (org_id, aggregate_type, aggregate_id)
        WHERE wrong.org_id = s.org_id AND wrong.aggregate_type = s.aggregate_type AND wrong.aggregate_id = s.aggregate_id)
    UNION ALL
    SELECT * FROM unnest($5::bigint[], $6::bigint[], $7::date[], $8::text[], $9::text[], $10::bigint[])
), booked AS (
    SELECT org_id, property_id, balance_date, sum(cash_received) AS cash_received,
           sum(bank_received) AS bank_received, sum(cash_expenses) AS cash_expenses, sum(bank_expenses) AS bank_expenses
    FROM (
        SELECT org_id, property_id, balance_date,
               CASE WHEN aggregate_type = 'revenue' AND payment_mode = 'cash' THEN contribution_cents ELSE 0 END AS cash_received,
               CASE WHEN aggregate_type = 'revenue' AND payment_mode = 'bank' THEN contribution_cents ELSE 0 END AS bank_received,
               CASE WHEN aggregate_type = 'expense' AND payment_mode = 'cash' THEN contribution_cents ELSE 0 END AS cash_expenses,
               CASE WHEN aggregate_type = 'expense' AND payment_mode = 'bank' THEN contribution_cents ELSE 0 END AS bank_expenses
        FROM moved
        UNION ALL
        SELECT org_id, property_id, balance_date, cash_received_cents, bank_received_cents, cash_expenses_cents,
               bank_expenses_cents
        FROM ops.balance_adjustments
        WHERE org_id = ANY ($1::bigint[])
    ) AS movements
    GROUP BY org_id, property_id, balance_date
), counted AS (
    SELECT DISTINCT ON (org_id, property_id, balance_date) org_id, property_id, balance_date, declared_closing_cents AS declared
    FROM ops.balance_corrections
    WHERE org_id = ANY ($1::bigint[]) AND kind = 'declared_closing'
    ORDER BY org_id, property_id, balance_date, recorded_at DESC
), days AS (
    SELECT org_id, property_id, balance_date, b.org_id IS NOT NULL AS there, b.version,
           b.opening_balance_cents AS opening, b.cash_received_cents AS cash_received, b.bank_received_cents AS bank_received,
           b.cash_expenses_cents AS cash_expenses, b.bank_expenses_cents AS bank_expenses, b.declared_closing_cents AS declared,
           coalesce(m.cash_received, 0) AS right_cash_received, coalesce(m.bank_received, 0) AS right_bank_received,
           coalesce(m.cash_expenses, 0) AS right_cash_expenses, coalesce(m.bank_expenses, 0) AS right_bank_expenses,
           c.declared AS right_declared
    FROM (SELECT * FROM finance.daily_cash_balances_partitioned WHERE org_id = ANY ($1::bigint[])) AS b
    FULL JOIN booked AS m USING (org_id, property_id, balance_date)
    FULL JOIN counted AS c USING (org_id, property_id, balance_date)
), running AS (
    SELECT days.*, sum(right_cash_received - right_cash_expenses) OVER earlier AS moved_before,
           count(right_declared) OVER earlier AS counts_before,
           -- What a count says above what has moved until then: it stands in for everything before it.
           right_declared - sum(right_cash_received - right_cash_expenses) OVER until_now AS stated_over_moved
    FROM days
    WINDOW until_now AS (PARTITION BY org_id, property_id ORDER BY balance_date),
           earlier AS (PARTITION BY org_id, property_id ORDER BY balance_date ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
), stated AS (
    SELECT org_id, property_id, counts_before + 1 AS counts_before, stated_over_moved
    FROM running
    WHERE right_declared IS NOT NULL
), judged AS (
    SELECT r.*, coalesce(r.moved_before, 0)
               + coalesce(s.stated_over_moved, p.opening_cash_cents, 0) AS right_opening
    FROM running AS r
    LEFT JOIN stated AS s USING (org_id, property_id, counts_before)
    LEFT JOIN finance.properties AS p USING (org_id, property_id)
)
SELECT org_id, property_id, balance_date, there, version, opening, cash_received, bank_received, cash_expenses, bank_expenses,
       declared, greatest(least(right_opening, 9223372036854775807), -9223372036854775807)::bigint AS right_opening,
       least(right_cash_received, 9223372036854775807)::bigint AS right_cash_received,
       least(right_bank_received, 9223372036854775807)::bigint AS right_bank_received,
       least(right_cash_expenses, 9223372036854775807)::bigint AS right_cash_expenses,
       least(right_bank_expenses, 9223372036854775807)::bigint AS right_bank_expenses, right_declared
FROM judged
WHERE CASE
    WHEN there THEN opening <> right_opening OR cash_received <> right_cash_received OR bank_received <> right_bank_received
        OR cash_expenses <> right_cash_expenses OR bank_expenses <> right_bank_expenses
        OR declared IS DISTINCT FROM right_declared
    ELSE right_declared IS NOT NULL OR right_cash_received <> 0 OR right_bank_received <> 0 OR right_cash_expenses <> 0
        OR right_bank_expenses <> 0
    END
ORDER BY 1, 2, 3
LIMIT $11

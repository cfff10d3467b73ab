-- suspect_orgs_by_days: organisations with a day that may not be what snapshots, adjustments and counts make of it.
-- Slice $2 of $1. Movements and counts are hashed day by day on both sides and put together by
-- organisation; as numeric, for what was hurt may add up to more than a bigint holds. Each opening must be the closing of the
-- row before. Where all of that is right, so is every figure.
WITH moved AS (
    SELECT org_id, property_id, balance_date,
           CASE WHEN aggregate_type = 'revenue' AND payment_mode = 'cash' THEN contribution_cents ELSE 0 END AS cash_received,
           CASE WHEN aggregate_type = 'revenue' AND payment_mode = 'bank' THEN contribution_cents ELSE 0 END AS bank_received,
           CASE WHEN aggregate_type = 'expense' AND payment_mode = 'cash' THEN contribution_cents ELSE 0 END AS cash_expenses,
           CASE WHEN aggregate_type = 'expense' AND payment_mode = 'bank' THEN contribution_cents ELSE 0 END AS bank_expenses
    FROM ops.checked_snapshots($1, $2, NULL)
    WHERE contribution_cents <> 0
    UNION ALL
    SELECT org_id, property_id, balance_date, cash_received_cents, bank_received_cents, cash_expenses_cents, bank_expenses_cents
    FROM ops.checked_adjustments($1, $2, NULL)
), booked AS (
    SELECT org_id, property_id, balance_date, sum(cash_received) AS cash_received, sum(bank_received) AS bank_received,
           sum(cash_expenses) AS cash_expenses, sum(bank_expenses) AS bank_expenses
    FROM moved
    GROUP BY org_id, property_id, balance_date
), counted AS (
    SELECT DISTINCT ON (org_id, property_id, balance_date) org_id, property_id, balance_date, declared_closing_cents AS declared
    FROM ops.checked_corrections($1, $2, NULL)
    WHERE kind = 'declared_closing'
    ORDER BY org_id, property_id, balance_date, recorded_at DESC
), stands AS (
    SELECT org_id, property_id, balance_date, b.cash_received_cents::numeric, b.bank_received_cents::numeric,
           b.cash_expenses_cents::numeric, b.bank_expenses_cents::numeric, b.declared_closing_cents, b.opening_balance_cents <> coalesce(
               lag(b.closing_balance_cents) OVER (PARTITION BY org_id, property_id ORDER BY balance_date),
               p.opening_cash_cents, 0) AS suspect
    FROM ops.checked_balances($1, $2, NULL) AS b
    LEFT JOIN finance.properties AS p USING (org_id, property_id)
), stated AS (
    SELECT org_id, 1 AS side, false AS suspect,
           hash_record_extended(ROW(property_id, balance_date, cash_received, bank_received, cash_expenses, bank_expenses), 0) AS said
    FROM booked
    WHERE (cash_received, bank_received, cash_expenses, bank_expenses) <> (0, 0, 0, 0)
    UNION ALL
    SELECT org_id, 1, false, hash_record_extended(ROW(property_id, balance_date, declared), 0)
    FROM counted
    WHERE declared IS NOT NULL
    UNION ALL
    SELECT org_id, -1, false, hash_record_extended(ROW(property_id, balance_date, cash_received_cents, bank_received_cents,
               cash_expenses_cents, bank_expenses_cents), 0)
    FROM stands
    WHERE (cash_received_cents, bank_received_cents, cash_expenses_cents, bank_expenses_cents) <> (0, 0, 0, 0)
    UNION ALL
    SELECT org_id, -1, false, hash_record_extended(ROW(property_id, balance_date, declared_closing_cents), 0)
    FROM stands
    WHERE declared_closing_cents IS NOT NULL
    UNION ALL
    SELECT org_id, 0, true, 0 FROM stands WHERE suspect
)
SELECT org_id
FROM stated
GROUP BY org_id
HAVING bit_xor(hashint8extended(said, 0)) <> 0 OR sum(side) <> 0 OR bool_or(suspect)
ORDER BY org_id

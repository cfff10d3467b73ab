-- suspect_orgs_by_days: organisations with a day that may not be what snapshots, adjustments and counts make of it.
-- Slice $2 of $1; $3: seed of hashes and weights; $4: the prime that weights are taken by. Movements are weighed day by day and counts hashed, on both sides, and
-- put together by organisation. Each opening must be the closing of the row before. Where all of that is right, so is every figure.
WITH stands AS (
    SELECT b.*, b.opening_balance_cents <> coalesce(
               lag(b.closing_balance_cents) OVER (PARTITION BY org_id, property_id ORDER BY balance_date),
               p.opening_cash_cents, 0) AS suspect
    FROM ops.checked_balances($1, $2, NULL) AS b
    LEFT JOIN finance.properties AS p USING (org_id, property_id)
), counted AS (
    SELECT DISTINCT ON (org_id, property_id, balance_date) org_id, property_id, balance_date, declared_closing_cents
    FROM ops.checked_corrections($1, $2, NULL)
    WHERE kind = 'declared_closing'
    ORDER BY org_id, property_id, balance_date, recorded_at DESC
), stated AS (
    SELECT org_id, ops.weighed(contribution_cents, property_id, balance_date, aggregate_type, payment_mode, $3, $4) AS weighed,
           0 AS side, NULL::bigint AS said, false AS suspect
    FROM ops.checked_snapshots($1, $2, NULL)
    WHERE contribution_cents <> 0
    UNION ALL
    SELECT org_id, ops.weighed_day(cash_received_cents, bank_received_cents, cash_expenses_cents, bank_expenses_cents, property_id,
               balance_date, $3, $4), 0, NULL, false
    FROM ops.checked_adjustments($1, $2, NULL)
    UNION ALL
    SELECT org_id, 0, 1, ops.digest_of_count(property_id, balance_date, declared_closing_cents, $3), false
    FROM counted
    WHERE declared_closing_cents IS NOT NULL
    UNION ALL
    SELECT org_id, -ops.weighed_day(cash_received_cents, bank_received_cents, cash_expenses_cents, bank_expenses_cents, property_id,
               balance_date, $3, $4),
           CASE WHEN declared_closing_cents IS NULL THEN 0 ELSE -1 END,
           ops.digest_of_count(property_id, balance_date, declared_closing_cents, $3), suspect
    FROM stands
)
SELECT org_id
FROM stated
GROUP BY org_id
HAVING sum(weighed) % $4::bigint <> 0 OR coalesce(bit_xor(said), 0) <> 0 OR sum(side) <> 0 OR bool_or(suspect)
ORDER BY org_id

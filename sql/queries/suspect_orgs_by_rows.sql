-- suspect_orgs_by_rows: organisations whose revenues and expenses since the edge of retention may not be as their snapshots say.
-- Slice $2 of $1; $3: the edge of retention; $4: seed of the hashes. Where what both sides say does not come to the
-- same, or the number of rows does not, one of them is wrong.
WITH stated AS (
    SELECT s.org_id, 1 AS side, ops.digest_of_transaction(s.aggregate_type, s.aggregate_id, s.version, s.occurred_at, s.property_id,
               s.balance_date, s.status, s.payment_mode, s.amount_cents, p.currency, s.created_at, s.created_by_user_id, s.approved_at,
               s.approved_by_user_id, $4) AS said
    FROM ops.checked_snapshots($1, $2, NULL) AS s
    LEFT JOIN finance.properties AS p USING (org_id, property_id)
    WHERE s.occurred_at >= $3
    UNION ALL
    SELECT r.org_id, -1, ops.digest_of_transaction('revenue', r.id, r.version, r.occurred_at, r.property_id, r.balance_date, r.status,
               r.payment_mode, r.amount_cents, r.currency, r.created_at, r.created_by_user_id, r.approved_at, r.approved_by_user_id, $4)
    FROM ops.checked_revenues($1, $2, NULL) AS r
    WHERE r.occurred_at >= $3
    UNION ALL
    SELECT e.org_id, -1, ops.digest_of_transaction('expense', e.id, e.version, e.occurred_at, e.property_id, e.balance_date, e.status,
               e.payment_mode, e.amount_cents, e.currency, e.created_at, e.created_by_user_id, e.approved_at, e.approved_by_user_id, $4)
    FROM ops.checked_expenses($1, $2, NULL) AS e
    WHERE e.occurred_at >= $3
)
SELECT org_id
FROM stated
GROUP BY org_id
HAVING bit_xor(said) <> 0 OR sum(side) <> 0
ORDER BY org_id

-- suspect_transactions: revenues and expenses since the edge of retention that are not as their snapshots say, or not there.
-- $1 slices, of which $2, or $3 organisations; $4: the edge of retention; before it a transaction may have a row or none.
WITH s AS (
    SELECT s.*, p.currency
    FROM ops.checked_snapshots($1, $2, $3) AS s
    LEFT JOIN finance.properties AS p USING (org_id, property_id)
), t AS (
    SELECT 'revenue' AS aggregate_type, r.* FROM ops.checked_revenues($1, $2, $3) AS r WHERE r.occurred_at >= $4
    UNION ALL
    SELECT 'expense', e.* FROM ops.checked_expenses($1, $2, $3) AS e WHERE e.occurred_at >= $4
)
SELECT coalesce(s.org_id, t.org_id) AS org_id, coalesce(s.aggregate_type, t.aggregate_type) AS aggregate_type,
       coalesce(s.aggregate_id, t.id) AS aggregate_id
FROM s
FULL JOIN t ON t.org_id = s.org_id AND t.aggregate_type = s.aggregate_type AND t.id = s.aggregate_id
    AND t.occurred_at = s.occurred_at
WHERE CASE
    WHEN t.org_id IS NULL THEN s.occurred_at >= $4
    ELSE s.org_id IS NULL OR t.version <> s.version OR t.status <> s.status OR t.amount_cents <> s.amount_cents
        OR t.payment_mode <> s.payment_mode OR t.property_id <> s.property_id OR t.balance_date <> s.balance_date
        OR t.currency <> s.currency OR t.created_at <> s.created_at OR t.created_by_user_id <> s.created_by_user_id
        OR t.approved_at IS DISTINCT FROM s.approved_at OR t.approved_by_user_id IS DISTINCT FROM s.approved_by_user_id
    END
LIMIT $5

-- suspect_orgs_by_rows: organisations whose revenues and expenses since the edge of retention may not be as their snapshots say.
-- Slice $2 of $1; $3: the edge of retention. What both sides say is hashed row by row and put
-- together by organisation, each hash mixed once more, for the hash of a row is a sum over its columns: where that differs, or the
-- number of rows does, one of them is wrong.
WITH stated AS (
    SELECT s.org_id, 1 AS side,
           hash_record_extended(ROW(s.aggregate_type, s.aggregate_id, s.occurred_at, s.version, s.status, s.amount_cents, s.payment_mode,
               s.property_id, s.balance_date, p.currency, s.created_at, s.created_by_user_id, s.approved_at, s.approved_by_user_id), 0) AS said
    FROM ops.checked_snapshots($1, $2, NULL) AS s
    LEFT JOIN finance.properties AS p USING (org_id, property_id)
    WHERE s.occurred_at >= $3
    UNION ALL
    SELECT r.org_id, -1,
           hash_record_extended(ROW('revenue'::text, r.id, r.occurred_at, r.version, r.status, r.amount_cents, r.payment_mode,
               r.property_id, r.balance_date, r.currency, r.created_at, r.created_by_user_id, r.approved_at, r.approved_by_user_id), 0)
    FROM ops.checked_revenues($1, $2, NULL) AS r
    WHERE r.occurred_at >= $3
    UNION ALL
    SELECT e.org_id, -1,
           hash_record_extended(ROW('expense'::text, e.id, e.occurred_at, e.version, e.status, e.amount_cents, e.payment_mode,
               e.property_id, e.balance_date, e.currency, e.created_at, e.created_by_user_id, e.approved_at, e.approved_by_user_id), 0)
    FROM ops.checked_expenses($1, $2, NULL) AS e
    WHERE e.occurred_at >= $3
)
SELECT org_id
FROM stated
GROUP BY org_id
HAVING bit_xor(hashint8extended(said, 0)) <> 0 OR sum(side) <> 0
ORDER BY org_id

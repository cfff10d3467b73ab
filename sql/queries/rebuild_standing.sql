-- rebuild_standing: rows and snapshots of the transactions of some organisations side by side, by transaction.
-- Most snapshots say what their rows say: of these only what the row has not is read again, for each column costs.
WITH t AS (
    SELECT 'revenue' AS aggregate_type, id AS aggregate_id, r.*
    FROM finance.revenues_partitioned AS r
    WHERE org_id > $1 AND org_id <= $2 AND ($3::bigint[] IS NULL OR org_id = ANY ($3))
    UNION ALL
    SELECT 'expense', id, e.*
    FROM finance.expenses_partitioned AS e
    WHERE org_id > $1 AND org_id <= $2 AND ($3::bigint[] IS NULL OR org_id = ANY ($3))
), s AS (
    SELECT *
    FROM event_store.snapshots
    WHERE org_id > $1 AND org_id <= $2 AND ($3::bigint[] IS NULL OR org_id = ANY ($3))
), side_by_side AS (
    SELECT org_id, aggregate_type, aggregate_id,
           t.occurred_at, t.property_id, t.balance_date, t.amount_cents, t.currency, t.payment_mode, t.status,
           t.category, t.description, t.bank_reference, t.source, t.version, t.created_by_user_id, t.created_at,
           t.approved_by_user_id, t.approved_at, t.updated_at, s.hash_version, s.content_hash,
           s.updated_at AS recorded_at,
           coalesce(t.version = s.version AND t.property_id = s.property_id AND t.occurred_at = s.occurred_at
               AND t.balance_date = s.balance_date AND t.payment_mode = s.payment_mode AND t.status = s.status
               AND t.amount_cents = s.amount_cents AND t.created_at = s.created_at
               AND t.created_by_user_id = s.created_by_user_id AND t.approved_at IS NOT DISTINCT FROM s.approved_at
               AND t.approved_by_user_id IS NOT DISTINCT FROM s.approved_by_user_id, false) AS agree,
           s.version AS s_version, s.property_id AS s_property_id, s.occurred_at AS s_occurred_at,
           s.balance_date AS s_balance_date, s.payment_mode AS s_payment_mode, s.status AS s_status,
           s.amount_cents AS s_amount_cents, s.created_at AS s_created_at,
           s.created_by_user_id AS s_created_by_user_id, s.approved_at AS s_approved_at,
           s.approved_by_user_id AS s_approved_by_user_id
    FROM t
    FULL JOIN s USING (org_id, aggregate_type, aggregate_id)
    OFFSET 0  -- or the planner would write `agree` out for each of the columns below
)
SELECT org_id, aggregate_type, aggregate_id,
       occurred_at, property_id, balance_date, amount_cents, currency, payment_mode, status, category, description,
       bank_reference, source, version, created_by_user_id, created_at, approved_by_user_id, approved_at, updated_at,
       hash_version, content_hash, recorded_at, agree,
       CASE WHEN NOT agree THEN s_version END,
       CASE WHEN NOT agree THEN s_property_id END,
       CASE WHEN NOT agree THEN s_occurred_at END,
       CASE WHEN NOT agree THEN s_balance_date END,
       CASE WHEN NOT agree THEN s_payment_mode END,
       CASE WHEN NOT agree THEN s_status END,
       CASE WHEN NOT agree THEN s_amount_cents END,
       CASE WHEN NOT agree THEN s_created_at END,
       CASE WHEN NOT agree THEN s_created_by_user_id END,
       CASE WHEN NOT agree THEN s_approved_at END,
       CASE WHEN NOT agree THEN s_approved_by_user_id END
FROM side_by_side
ORDER BY org_id, aggregate_type, aggregate_id, occurred_at

-- refresh_daily_reports: what the transactions of each day say, of some organisations, each from a date on; counts the rows written.
-- A row that says the same already is left alone.
WITH wanted AS (
    SELECT org_id, since
    FROM unnest($3::bigint[], $4::date[]) AS w (org_id, since)
), said AS (
    SELECT s.org_id, s.property_id, s.balance_date,
           sum(contribution_cents) FILTER (WHERE (aggregate_type, payment_mode) = ('revenue', 'cash')) AS cash_received,
           sum(contribution_cents) FILTER (WHERE (aggregate_type, payment_mode) = ('revenue', 'bank')) AS bank_received,
           sum(contribution_cents) FILTER (WHERE (aggregate_type, payment_mode) = ('expense', 'cash')) AS cash_expenses,
           sum(contribution_cents) FILTER (WHERE (aggregate_type, payment_mode) = ('expense', 'bank')) AS bank_expenses,
           count(*) FILTER (WHERE status = 'approved' AND aggregate_type = 'revenue') AS revenues,
           count(*) FILTER (WHERE status = 'approved' AND aggregate_type = 'expense') AS expenses,
           count(*) FILTER (WHERE status = 'pending') AS pending,
           sum(amount_cents) FILTER (WHERE status = 'pending') AS pending_cents,
           count(*) FILTER (WHERE status = 'rejected') AS rejected,
           sum(amount_cents) FILTER (WHERE status = 'rejected') AS rejected_cents,
           count(*) FILTER (WHERE status = 'deleted') AS deleted
    FROM event_store.snapshots AS s
    LEFT JOIN wanted AS w USING (org_id)
    WHERE s.org_id > $1 AND s.org_id <= $2 AND ($3 IS NULL OR s.org_id = ANY ($3) AND s.balance_date >= w.since)
    GROUP BY s.org_id, s.property_id, s.balance_date
), adjusted AS (
    SELECT a.org_id, a.property_id, a.balance_date, count(*) AS adjustments
    FROM ops.balance_adjustments AS a
    LEFT JOIN wanted AS w USING (org_id)
    WHERE a.org_id > $1 AND a.org_id <= $2 AND ($3 IS NULL OR a.org_id = ANY ($3) AND a.balance_date >= w.since)
    GROUP BY a.org_id, a.property_id, a.balance_date
), surplus AS (
    DELETE FROM read_models.daily_reports AS r
    WHERE r.org_id > $1 AND r.org_id <= $2
      AND ($3 IS NULL OR r.org_id = ANY ($3) AND r.balance_date >= (SELECT since FROM wanted AS w WHERE w.org_id = r.org_id))
      AND NOT EXISTS (SELECT FROM said AS s WHERE (s.org_id, s.property_id, s.balance_date)
                                                = (r.org_id, r.property_id, r.balance_date))
      AND NOT EXISTS (SELECT FROM adjusted AS a WHERE (a.org_id, a.property_id, a.balance_date)
                                                    = (r.org_id, r.property_id, r.balance_date))
    RETURNING 1
), written AS (
    INSERT INTO read_models.daily_reports AS r
    SELECT org_id, property_id, balance_date, coalesce(cash_received, 0), coalesce(bank_received, 0),
           coalesce(cash_expenses, 0), coalesce(bank_expenses, 0), coalesce(revenues, 0), coalesce(expenses, 0),
           coalesce(pending, 0), coalesce(pending_cents, 0), coalesce(rejected, 0), coalesce(rejected_cents, 0),
           coalesce(deleted, 0), coalesce(adjustments, 0), now()
    FROM said
    FULL JOIN adjusted USING (org_id, property_id, balance_date)
    ORDER BY org_id, property_id, balance_date
    ON CONFLICT (org_id, property_id, balance_date) DO UPDATE
    SET cash_received_cents = excluded.cash_received_cents,
        bank_received_cents = excluded.bank_received_cents,
        cash_expenses_cents = excluded.cash_expenses_cents,
        bank_expenses_cents = excluded.bank_expenses_cents,
        revenue_count       = excluded.revenue_count,
        expense_count       = excluded.expense_count,
        pending_count       = excluded.pending_count,
        pending_cents       = excluded.pending_cents,
        rejected_count      = excluded.rejected_count,
        rejected_cents      = excluded.rejected_cents,
        deleted_count       = excluded.deleted_count,
        adjustment_count    = excluded.adjustment_count,
        refreshed_at        = excluded.refreshed_at
    WHERE (r.cash_received_cents, r.bank_received_cents, r.cash_expenses_cents, r.bank_expenses_cents, r.revenue_count,
           r.expense_count, r.pending_count, r.pending_cents, r.rejected_count, r.rejected_cents, r.deleted_count,
           r.adjustment_count)
       <> (excluded.cash_received_cents, excluded.bank_received_cents, excluded.cash_expenses_cents,
           excluded.bank_expenses_cents, excluded.revenue_count, excluded.expense_count, excluded.pending_count,
           excluded.pending_cents, excluded.rejected_count, excluded.rejected_cents, excluded.deleted_count,
           excluded.adjustment_count)
    RETURNING 1
)
SELECT (SELECT count(*) FROM said) AS looked_at,
       (SELECT count(*) FROM surplus) + (SELECT count(*) FROM written) AS changed

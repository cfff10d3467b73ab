-- booked_figures: movements and count of some days as transactions, adjustments and corrections say, whatever balances say.
SELECT k.org_id, k.property_id, k.balance_date,
       t.cash_received + a.cash_received AS cash_received_cents,
       t.bank_received + a.bank_received AS bank_received_cents,
       t.cash_expenses + a.cash_expenses AS cash_expenses_cents,
       t.bank_expenses + a.bank_expenses AS bank_expenses_cents,
       c.declared_closing_cents
FROM unnest($1::bigint[], $2::bigint[], $3::date[]) AS k (org_id, property_id, balance_date)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(contribution_cents) FILTER (WHERE (aggregate_type, payment_mode) = ('revenue', 'cash')), 0)
               AS cash_received,
           coalesce(sum(contribution_cents) FILTER (WHERE (aggregate_type, payment_mode) = ('revenue', 'bank')), 0)
               AS bank_received,
           coalesce(sum(contribution_cents) FILTER (WHERE (aggregate_type, payment_mode) = ('expense', 'cash')), 0)
               AS cash_expenses,
           coalesce(sum(contribution_cents) FILTER (WHERE (aggregate_type, payment_mode) = ('expense', 'bank')), 0)
               AS bank_expenses
    FROM event_store.snapshots AS s
    WHERE s.org_id = k.org_id AND s.property_id = k.property_id AND s.balance_date = k.balance_date
) AS t
CROSS JOIN LATERAL (
    SELECT coalesce(sum(cash_received_cents), 0) AS cash_received,
           coalesce(sum(bank_received_cents), 0) AS bank_received,
           coalesce(sum(cash_expenses_cents), 0) AS cash_expenses,
           coalesce(sum(bank_expenses_cents), 0) AS bank_expenses
    FROM ops.balance_adjustments AS d
    WHERE d.org_id = k.org_id AND d.property_id = k.property_id AND d.balance_date = k.balance_date
) AS a
LEFT JOIN LATERAL (
    SELECT declared_closing_cents
    FROM ops.balance_corrections AS d
    WHERE d.org_id = k.org_id AND d.property_id = k.property_id AND d.balance_date = k.balance_date
      AND d.kind = 'declared_closing'
    ORDER BY d.recorded_at DESC
    LIMIT 1
) AS c ON true

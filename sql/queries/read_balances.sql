-- read_balances: of each property the rows that a change on from_date may reach, and the one before, which opens them.
SELECT b.org_id, b.property_id, b.balance_date, b.version, b.opening_balance_cents, b.cash_received_cents,
       b.bank_received_cents, b.cash_expenses_cents, b.bank_expenses_cents, b.declared_closing_cents, b.last_event_id
FROM unnest($1::bigint[], $2::bigint[], $3::date[]) AS k (org_id, property_id, from_date)
CROSS JOIN LATERAL (
    SELECT *
    FROM finance.daily_cash_balances_partitioned AS d
    WHERE d.org_id = k.org_id AND d.property_id = k.property_id
      AND d.balance_date >= coalesce(
          (SELECT max(earlier.balance_date)
           FROM finance.daily_cash_balances_partitioned AS earlier
           WHERE earlier.org_id = k.org_id AND earlier.property_id = k.property_id
             AND earlier.balance_date < k.from_date),
          k.from_date)
) AS b
ORDER BY b.org_id, b.property_id, b.balance_date
LIMIT $4

-- daily_report: a property's day: property and balance on each row, then one total or transaction of the day, if any.
-- A day that began before transactions are kept may have lost some of them: in the zone in which it began first.
-- One statement, and so one snapshot: the totals are those of these transactions, and the balance is theirs.
-- A balance date lies within [date - 14 h, date + 36 h) of UTC in every zone: the range prunes all other months.
SELECT p.property_id, p.name, p.currency, p.opening_cash_cents,
       b.property_id, b.balance_date, b.version, b.opening_balance_cents, b.cash_received_cents, b.bank_received_cents,
       b.cash_expenses_cents, b.bank_expenses_cents, b.calculated_closing_balance_cents, b.declared_closing_cents,
       b.closing_balance_cents, b.balance_discrepancy_cents, b.last_event_id, b.updated_at,
       (SELECT min($3::date::timestamp AT TIME ZONE z.time_zone) >= (SELECT ops.transactions_kept_since())
        FROM finance.property_time_zones AS z WHERE z.org_id = $1 AND z.property_id = $2) AS transactions_kept,
       t.*
FROM finance.properties AS p
LEFT JOIN finance.daily_cash_balances_partitioned AS b
    ON b.org_id = $1 AND b.property_id = $2 AND b.balance_date = $3
LEFT JOIN (
    SELECT 'total' AS part, 'revenue' AS kind, count(*) AS id, NULL::bigint AS property_id, NULL::date AS balance_date,
           NULL::timestamptz AS occurred_at, sum(amount_cents)::bigint AS amount_cents, NULL AS currency, payment_mode,
           status, NULL AS category, NULL AS description, NULL AS bank_reference, NULL AS source, NULL::integer AS version,
           NULL::bigint AS created_by_user_id, NULL AS created_by_name, NULL::timestamptz AS created_at,
           NULL::bigint AS approved_by_user_id, NULL::timestamptz AS approved_at, NULL::timestamptz AS updated_at
    FROM finance.revenues_partitioned
    WHERE org_id = $1 AND property_id = $2 AND balance_date = $3
      AND occurred_at >= ($3::date::timestamp AT TIME ZONE 'UTC') - interval '14 hours'
      AND occurred_at < ($3::date::timestamp AT TIME ZONE 'UTC') + interval '36 hours'
    GROUP BY payment_mode, status
    UNION ALL
    SELECT 'total', 'expense', count(*), NULL, NULL, NULL, sum(amount_cents)::bigint, NULL, payment_mode, status, NULL, NULL,
           NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM finance.expenses_partitioned
    WHERE org_id = $1 AND property_id = $2 AND balance_date = $3
      AND occurred_at >= ($3::date::timestamp AT TIME ZONE 'UTC') - interval '14 hours'
      AND occurred_at < ($3::date::timestamp AT TIME ZONE 'UTC') + interval '36 hours'
    GROUP BY payment_mode, status
    UNION ALL
    (SELECT 'transaction', 'revenue', t.id, t.property_id, t.balance_date, t.occurred_at, t.amount_cents, t.currency,
            t.payment_mode, t.status, t.category, t.description, t.bank_reference, t.source, t.version,
            t.created_by_user_id, u.display_name, t.created_at, t.approved_by_user_id, t.approved_at, t.updated_at
     FROM finance.revenues_partitioned AS t
     LEFT JOIN read_models.users AS u ON u.org_id = $1 AND u.user_id = t.created_by_user_id
     WHERE t.org_id = $1 AND t.property_id = $2 AND t.balance_date = $3
       AND t.occurred_at >= ($3::date::timestamp AT TIME ZONE 'UTC') - interval '14 hours'
       AND t.occurred_at < ($3::date::timestamp AT TIME ZONE 'UTC') + interval '36 hours'
     ORDER BY t.occurred_at, t.id
     LIMIT $4)
    UNION ALL
    (SELECT 'transaction', 'expense', t.id, t.property_id, t.balance_date, t.occurred_at, t.amount_cents, t.currency,
            t.payment_mode, t.status, t.category, t.description, t.bank_reference, t.source, t.version,
            t.created_by_user_id, u.display_name, t.created_at, t.approved_by_user_id, t.approved_at, t.updated_at
     FROM finance.expenses_partitioned AS t
     LEFT JOIN read_models.users AS u ON u.org_id = $1 AND u.user_id = t.created_by_user_id
     WHERE t.org_id = $1 AND t.property_id = $2 AND t.balance_date = $3
       AND t.occurred_at >= ($3::date::timestamp AT TIME ZONE 'UTC') - interval '14 hours'
       AND t.occurred_at < ($3::date::timestamp AT TIME ZONE 'UTC') + interval '36 hours'
     ORDER BY t.occurred_at, t.id
     LIMIT $4)
) AS t ON true
WHERE p.org_id = $1 AND p.property_id = $2
ORDER BY t.part, t.kind, t.occurred_at, t.id

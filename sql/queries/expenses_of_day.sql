-- expenses_of_day: a page of the expenses of a property's day, with their creators' names, after the one of the page before.
-- A balance date lies within [date - 14 h, date + 36 h) of UTC in every zone: the range prunes all other months.
SELECT 'expense' AS kind, t.id, t.property_id, t.balance_date, t.occurred_at, t.amount_cents, t.currency, t.payment_mode,
       t.status, t.category, t.description, t.bank_reference, t.source, t.version, t.created_by_user_id,
       u.display_name AS created_by_name, t.created_at, t.approved_by_user_id, t.approved_at, t.updated_at
FROM finance.expenses_partitioned AS t
LEFT JOIN read_models.users AS u ON u.org_id = $1 AND u.user_id = t.created_by_user_id
WHERE t.org_id = $1 AND t.property_id = $2 AND t.balance_date = $3
  AND t.occurred_at >= ($3::date::timestamp AT TIME ZONE 'UTC') - interval '14 hours'
  AND t.occurred_at < ($3::date::timestamp AT TIME ZONE 'UTC') + interval '36 hours'
  AND (t.occurred_at, t.id) > (coalesce($4::timestamptz, '-infinity'), coalesce($5::bigint, 0))
ORDER BY t.occurred_at, t.id
LIMIT $6

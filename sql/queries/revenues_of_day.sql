-- revenues_of_day: the transactions of a property's day.
-- A balance date lies within [date - 14 h, date + 36 h) of UTC in every zone: the range prunes all other months.
SELECT id, occurred_at, amount_cents, currency, payment_mode, status, category, description, bank_reference, source,
       version, created_by_user_id, created_at, approved_by_user_id, approved_at, updated_at
FROM finance.revenues_partitioned
WHERE org_id = $1 AND property_id = $2 AND balance_date = $3
  AND occurred_at >= ($3::date::timestamp AT TIME ZONE 'UTC') - interval '14 hours'
  AND occurred_at < ($3::date::timestamp AT TIME ZONE 'UTC') + interval '36 hours'
ORDER BY occurred_at, id

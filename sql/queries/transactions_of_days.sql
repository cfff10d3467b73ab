-- transactions_of_days: which transactions are booked on some days, by their snapshots.
SELECT s.org_id, s.aggregate_type, s.aggregate_id
FROM unnest($1::bigint[], $2::bigint[], $3::date[]) AS k (org_id, property_id, balance_date)
JOIN event_store.snapshots AS s USING (org_id, property_id, balance_date)
LIMIT $4

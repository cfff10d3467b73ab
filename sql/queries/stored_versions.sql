-- stored_versions: every stored version of some transactions, as rebuild_events reads them.
SELECT e.org_id, e.aggregate_type, e.aggregate_id, e.version, e.property_id, e.balance_date, e.occurred_at, e.appended_at,
       e.recorded_at, e.hash_version, e.content_hash, e.event_data, e.headers, p.currency, e.outcome
FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS k (org_id, aggregate_type, aggregate_id)
JOIN event_store.events AS e USING (aggregate_id, org_id, aggregate_type)
JOIN finance.properties AS p ON p.org_id = e.org_id AND p.property_id = e.property_id
ORDER BY e.org_id, e.aggregate_type, e.aggregate_id, e.version

-- rebuild_later_events: the versions of some transactions that were stored since an instant, by transaction and version.
SELECT e.org_id, e.aggregate_type, e.aggregate_id, e.version, e.property_id, e.balance_date, e.occurred_at, e.appended_at,
       e.recorded_at, e.hash_version, e.content_hash, e.event_data, e.headers, p.currency, e.outcome
FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS k (org_id, aggregate_type, aggregate_id)
JOIN event_store.events AS e USING (org_id, aggregate_type, aggregate_id)
LEFT JOIN finance.properties AS p USING (org_id, property_id)
WHERE e.recorded_at > $4
ORDER BY e.org_id, e.aggregate_type, e.aggregate_id, e.version

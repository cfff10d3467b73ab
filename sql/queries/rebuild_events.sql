-- rebuild_events: every stored version of the transactions of some organisations, by transaction and version.
-- Without its property an event has no currency, and nothing may be made of it. The versions of those that were applied rise in
-- the order in which they were.
SELECT e.org_id, e.aggregate_type, e.aggregate_id, e.version, e.property_id, e.balance_date, e.occurred_at, e.appended_at,
       e.recorded_at, e.hash_version, e.content_hash, e.event_data, e.headers, p.currency, e.outcome
FROM event_store.events AS e
LEFT JOIN finance.properties AS p USING (org_id, property_id)
WHERE e.org_id > $1 AND e.org_id <= $2 AND ($3::bigint[] IS NULL OR e.org_id = ANY ($3))
ORDER BY e.org_id, e.aggregate_type, e.aggregate_id, e.version

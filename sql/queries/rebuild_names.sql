-- rebuild_names: every stored event of some organisations, in no order: what each calls its user is in its bytes.
SELECT e.org_id, e.aggregate_type, e.aggregate_id, e.version, e.property_id, e.balance_date, e.occurred_at, e.appended_at,
       e.recorded_at, e.hash_version, e.content_hash, e.event_data, e.headers
FROM event_store.events AS e
WHERE e.org_id > $1 AND e.org_id <= $2 AND ($3::bigint[] IS NULL OR e.org_id = ANY ($3)) AND e.recorded_at >= $4

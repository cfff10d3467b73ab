-- events: what is stored of every asked lane, in the order in which the chains took it in.
-- One sort of all lanes: one a lane would read the months as many times as there are lanes.
SELECT recorded_at, lane, record_offset, org_id, aggregate_type, aggregate_id, version, event_type, event_id::text,
       property_id, balance_date::text, occurred_at, appended_at, outcome, hash_version, content_hash, event_data, headers
FROM event_store.events
WHERE ($1::smallint IS NULL OR lane = $1) AND recorded_at > $2
ORDER BY lane, recorded_at

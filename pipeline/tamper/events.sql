-- events: what is stored of every asked lane within a window, in the order in which the chains took it in.
-- A window over all lanes: one lane's alone would be read as many times as there are lanes, all at once would be one sort.
SELECT recorded_at, lane, record_offset, org_id, aggregate_type, aggregate_id, version, event_type, event_id::text,
       property_id, balance_date::text, occurred_at, appended_at, outcome, hash_version, content_hash, event_data, headers
FROM event_store.events
WHERE ($1::smallint IS NULL OR lane = $1) AND recorded_at > $2 AND recorded_at <= $3
ORDER BY lane, recorded_at

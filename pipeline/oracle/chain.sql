-- chain: the store in the order in which the chain took it in, with every column that a link covers.
SELECT lane, record_offset, recorded_at, content_hash,
       org_id, aggregate_type, aggregate_id, version, event_type, event_id, property_id, balance_date, occurred_at,
       appended_at, outcome, hash_version, event_data, headers
FROM event_store.events
ORDER BY lane, record_offset

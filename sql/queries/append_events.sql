-- append_events: every accepted version goes to the store, in the order of the batch.
INSERT INTO event_store.events (
    recorded_at, lane, record_offset, org_id, aggregate_type, aggregate_id, version, event_type, event_id, property_id,
    balance_date, occurred_at, appended_at, outcome, hash_version, content_hash, event_data, headers)
SELECT recorded_at, lane, record_offset, org_id, aggregate_type, aggregate_id, version, event_type, event_id, property_id,
       balance_date, occurred_at, appended_at, outcome, hash_version, content_hash, event_data, headers
FROM staging_events

-- stored_events: every event of the store; its bytes as a digest, which proves as much and travels lighter.
SELECT org_id, aggregate_type, aggregate_id, version,
       lane, record_offset, event_type, uuid_send(event_id) AS event_id, property_id, balance_date,
       occurred_at, appended_at, outcome, sha256(event_data) AS event_data_sha256,
       hash_version, content_hash
FROM event_store.events

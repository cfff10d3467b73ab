-- chain: the stored hashes in the order in which the chain took them in.
SELECT lane, record_offset, recorded_at, content_hash
FROM event_store.events
ORDER BY lane, record_offset

-- store_begins: from when on events are in the store and not in an archive.
SELECT coalesce((max(month) + interval '1 month') AT TIME ZONE 'UTC', '-infinity')
FROM ops.expired_months
WHERE parent = 'event_store.events' AND restored_at IS NULL

-- recorded_order: when the events of some organisations were recorded, which tells the order across lanes.
SELECT lane, record_offset, recorded_at
FROM event_store.events
WHERE org_id = ANY ($1::bigint[])

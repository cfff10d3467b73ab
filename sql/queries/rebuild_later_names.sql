-- rebuild_later_names: what was stored of some organisations since an instant: a minute or two of the newest month.
-- No index leads with the organisation: the addition keeps the plan from walking one of them whole for it.
SELECT e.org_id, e.aggregate_type, e.aggregate_id, e.version, e.property_id, e.balance_date, e.occurred_at, e.appended_at,
       e.recorded_at, e.hash_version, e.content_hash, e.event_data, e.headers
FROM event_store.events AS e
WHERE e.recorded_at > $2 AND e.org_id + 0 = ANY ($1::bigint[])

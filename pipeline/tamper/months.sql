-- months: the months of the event store that left for good, and did not come back.
SELECT to_char(month, 'YYYY_MM') AS month
FROM ops.expired_months
WHERE parent = 'event_store.events' AND restored_at IS NULL

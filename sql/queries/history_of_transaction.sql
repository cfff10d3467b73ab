-- history_of_transaction: a page of the stored versions of a transaction, after the version of the page before.
-- In every month: which of them hold a version, only the index of each knows.
SELECT version, event_type, event_id, property_id, balance_date, occurred_at, appended_at, recorded_at, outcome,
       event_data, headers
FROM event_store.events
WHERE aggregate_id = $2 AND org_id = $1 AND aggregate_type = $3 AND version > $4
ORDER BY version
LIMIT $5

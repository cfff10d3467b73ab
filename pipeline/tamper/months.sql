-- months: the months of which the store has a partition; of others it holds what the default partition holds.
SELECT right(inhrelid::regclass::text, 7) AS month
FROM pg_inherits
WHERE inhparent = 'event_store.events'::regclass AND inhrelid::regclass::text ~ '_\d{4}_\d{2}$'
ORDER BY month

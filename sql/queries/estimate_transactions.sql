-- estimate_transactions: about how many transactions there are, as the last vacuum or analyze counted them.
SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint
FROM pg_inherits AS i
JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'event_store.snapshots'::regclass

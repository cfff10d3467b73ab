-- store_is_whole: whether the store holds everything that it ever took in: the lanes have counted that. Archived months are missing.
SELECT (SELECT count(*) FROM event_store.events) + (SELECT count(*) FROM ops.balance_corrections)
     = (SELECT coalesce(sum(applied + stale), 0) FROM ops.lanes)

-- links: the links of a lane in their order, from one on.
SELECT lane, seq, batch_id, owner_epoch, cluster_epoch, events, corrections, first_recorded_at, last_recorded_at,
       previous_head, head
FROM event_store.chain_links
WHERE lane = $1 AND seq >= $2
ORDER BY seq

-- chain_links: what each batch says that it stored of each lane.
SELECT lane, seq, batch_id, owner_epoch, cluster_epoch, events, corrections, first_recorded_at, last_recorded_at,
       previous_head, head
FROM event_store.chain_links
ORDER BY lane, seq

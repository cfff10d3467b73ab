-- append_chain_links: the link of one lane's share of a batch, over all that it stores (schemas/chain.py).
INSERT INTO event_store.chain_links (
    lane, seq, batch_id, owner_epoch, cluster_epoch, events, corrections, first_recorded_at, last_recorded_at,
    previous_head, head)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

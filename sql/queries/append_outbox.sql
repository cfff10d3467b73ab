-- append_outbox: the realtime updates, the number of dead letters, and the chain's head, of one lane's share of a batch.
INSERT INTO ops.outbox (lane, seq, batch_id, recorded_at, update_count, updates, letter_count, letter_bytes,
    chain_head)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)

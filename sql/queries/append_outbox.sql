-- append_outbox: the realtime updates, and the number of dead letters, of one lane's share of a batch.
INSERT INTO ops.outbox (lane, seq, batch_id, recorded_at, update_count, updates, letter_count, letter_bytes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

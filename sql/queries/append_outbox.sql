-- append_outbox: the realtime updates of one lane's share of a batch.
INSERT INTO ops.outbox (lane, seq, batch_id, recorded_at, update_count, updates)
VALUES ($1, $2, $3, $4, $5, $6)

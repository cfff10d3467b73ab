-- batch_outbox: what a batch left in the outbox of a lane, for a writer that lost the answer to its COMMIT.
SELECT lane, seq, batch_id, updates, letter_count, chain_head
FROM ops.outbox
WHERE lane = ANY ($1::smallint[]) AND batch_id = $2
ORDER BY lane, seq

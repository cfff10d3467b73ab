-- read_outbox: the next rows of a lane after a mark, in order.
SELECT lane, seq, updates
FROM ops.outbox
WHERE lane = $1 AND seq > $2
ORDER BY seq
LIMIT $3

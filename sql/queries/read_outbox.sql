-- read_outbox: the next rows of a lane after a mark, in order: the first, and what follows it up to so many bytes.
SELECT lane, seq, batch_id, updates, letter_count, chain_head
FROM (
    SELECT lane, seq, batch_id, updates, letter_count, chain_head, sum(bytes) OVER (ORDER BY seq) - bytes AS bytes_before
    FROM (
        SELECT lane, seq, batch_id, updates, letter_count, chain_head, octet_length(updates) + letter_bytes AS bytes
        FROM ops.outbox
        WHERE lane = $1 AND seq > $2
        ORDER BY seq
        LIMIT 64
    ) AS next
) AS measured
WHERE bytes_before = 0 OR bytes_before < $3
ORDER BY seq

-- read_outbox: the next rows of a lane after a mark, in order: the first, and what follows it up to so many bytes.
SELECT lane, seq, updates
FROM (
    SELECT lane, seq, updates, sum(octet_length(updates)) OVER (ORDER BY seq) - octet_length(updates) AS bytes_before
    FROM (
        SELECT lane, seq, updates
        FROM ops.outbox
        WHERE lane = $1 AND seq > $2
        ORDER BY seq
        LIMIT 64
    ) AS next
) AS measured
WHERE bytes_before = 0 OR bytes_before < $3
ORDER BY seq

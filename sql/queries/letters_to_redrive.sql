-- letters_to_redrive: the next letters in the order of their topics that were not redriven, up to so many bytes of them.
SELECT topic, lane, record_offset, reason, appended_at, record_key, record_value, headers
FROM (
    SELECT *, sum(bytes) OVER (ORDER BY topic, lane, record_offset) - bytes AS bytes_before
    FROM (
        SELECT l.*, coalesce(octet_length(l.record_value), 0) AS bytes
        FROM ops.dead_letters AS l
        WHERE (l.topic, l.lane, l.record_offset) > ($1, $2, $3)
          AND ($4::text IS NULL OR l.topic = $4)
          AND ($5::text[] IS NULL OR l.reason = ANY ($5))
          AND l.recorded_at >= coalesce($6::timestamptz, '-infinity')
          AND NOT EXISTS (
              SELECT FROM ops.dead_letter_redrives AS r
              WHERE (r.topic, r.lane, r.record_offset) = (l.topic, l.lane, l.record_offset))
        ORDER BY l.topic, l.lane, l.record_offset
        LIMIT $7
    ) AS next
) AS measured
WHERE bytes_before = 0 OR bytes_before < $8
ORDER BY topic, lane, record_offset

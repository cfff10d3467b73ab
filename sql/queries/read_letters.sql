-- read_letters: the dead letters that are exported with some rows of a lane's outbox.
SELECT outbox_seq, topic, lane, record_offset, reason, detail, appended_at, record_key, record_value, headers
FROM ops.dead_letters
WHERE lane = $1 AND outbox_seq = ANY ($2::bigint[])
ORDER BY outbox_seq, topic, record_offset

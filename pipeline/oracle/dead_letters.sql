-- dead_letters: the records of the topic that were refused, and why.
SELECT lane, record_offset, reason, sha256(record_value) AS record_value_sha256, recorded_at
FROM ops.dead_letters
WHERE topic = $1

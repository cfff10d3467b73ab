-- read_dead_letter: one letter with everything that is known of it.
SELECT l.topic, l.lane, l.record_offset, l.reason, l.detail, l.appended_at, l.recorded_at, l.record_key,
       l.record_value, l.headers, r.redriven_at, r.who AS redriven_by, r.new_lane, r.new_offset
FROM ops.dead_letters AS l
LEFT JOIN ops.dead_letter_redrives AS r USING (topic, lane, record_offset)
WHERE l.topic = $1 AND l.lane = $2 AND l.record_offset = $3

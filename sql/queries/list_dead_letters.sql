-- list_dead_letters: letters of some kinds without their bytes, the newest first, from behind a letter on.
SELECT l.topic, l.lane, l.record_offset, l.reason, l.detail, l.appended_at, l.recorded_at,
       octet_length(l.record_value) AS value_bytes, r.redriven_at
FROM ops.dead_letters AS l
LEFT JOIN ops.dead_letter_redrives AS r USING (topic, lane, record_offset)
WHERE l.recorded_at >= coalesce($1::timestamptz, '-infinity')
  AND (l.recorded_at, l.topic, l.lane, l.record_offset)
      < (coalesce($2::timestamptz, 'infinity'), coalesce($3::text, ''), coalesce($4::smallint, 0), coalesce($5::bigint, 0))
  AND ($6::text IS NULL OR l.topic = $6)
  AND ($7::smallint IS NULL OR l.lane = $7)
  AND ($8::text[] IS NULL OR l.reason = ANY ($8))
ORDER BY l.recorded_at DESC, l.topic DESC, l.lane DESC, l.record_offset DESC
LIMIT $9

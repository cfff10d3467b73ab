-- count_dead_letters: letters by reason and topic, and by the hour or day in which they were recorded where one is named.
SELECT CASE WHEN $2::text IS NOT NULL THEN date_trunc($2, recorded_at, 'UTC') END AS bucket, topic, reason,
       count(*) AS letters, min(recorded_at) AS first_at, max(recorded_at) AS last_at
FROM ops.dead_letters
WHERE recorded_at >= coalesce($1::timestamptz, '-infinity')
GROUP BY bucket, topic, reason
ORDER BY bucket, letters DESC, topic, reason

-- newest_append: when the newest record that a lane has consumed was appended to its topic.
SELECT last_appended_at, corrections_last_appended_at FROM ops.lanes ORDER BY lane

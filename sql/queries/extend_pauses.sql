-- extend_pauses: on the lanes from $1 up to, and without, $2, which are new, a pause that lasts holds from the beginning.
INSERT INTO ops.org_pause_positions (pause_id, lane, finance_from, corrections_from)
SELECT o.pause_id, l.lane, 0, 0
FROM ops.org_pauses AS o
JOIN ops.lanes AS l ON l.lane >= $1 AND l.lane < $2
WHERE o.resumed_at IS NULL

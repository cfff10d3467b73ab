-- newest_rules: by what the workers judge each lane's records now, or did last.
-- A lane that is stopped is judged by nothing until it goes on, by the rules of whoever claims it then.
SELECT l.lane, r.past_max, r.future_max, r.default_currency, r.default_time_zone, r.unknown_property
FROM ops.lanes AS l
CROSS JOIN LATERAL (
    SELECT *
    FROM ops.lane_rules AS r
    WHERE r.lane = l.lane
    ORDER BY r.finance_position DESC, r.corrections_position DESC
    LIMIT 1
) AS r
WHERE l.stopped_reason IS NULL
ORDER BY l.lane

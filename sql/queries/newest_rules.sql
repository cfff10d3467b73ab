-- newest_rules: by what the workers judge each lane's records now, or did last.
-- A lane that stopped records none when it is claimed: what it was judged by before is not what it will be judged by.
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

-- record_rules: by what the records from these positions on are judged, unless that is what was recorded last.
INSERT INTO ops.lane_rules (
    lane, finance_position, corrections_position, past_max, future_max, default_currency, default_time_zone,
    unknown_property, lane_count)
SELECT new.*
FROM (VALUES ($1::smallint, $2::bigint, $3::bigint, $4::interval, $5::interval, $6::text, $7::text, $8::text,
              $9::integer))
    AS new (lane, finance_position, corrections_position, past_max, future_max, default_currency, default_time_zone,
            unknown_property, lane_count)
LEFT JOIN LATERAL (
    SELECT *
    FROM ops.lane_rules AS r
    WHERE r.lane = new.lane
    ORDER BY r.finance_position DESC, r.corrections_position DESC
    LIMIT 1
) AS newest ON true
WHERE (new.past_max, new.future_max, new.default_currency, new.default_time_zone, new.unknown_property, new.lane_count)
      IS DISTINCT FROM
      (newest.past_max, newest.future_max, newest.default_currency, newest.default_time_zone, newest.unknown_property,
       newest.lane_count)
ON CONFLICT (lane, finance_position, corrections_position) DO UPDATE
SET past_max          = excluded.past_max,
    future_max        = excluded.future_max,
    default_currency  = excluded.default_currency,
    default_time_zone = excluded.default_time_zone,
    unknown_property  = excluded.unknown_property,
    lane_count        = excluded.lane_count

-- lane_rules: by what each lane's records were judged, from which positions on.
SELECT lane, finance_position, corrections_position, past_max, future_max, default_currency, default_time_zone,
       unknown_property, lane_count
FROM ops.lane_rules
ORDER BY lane, finance_position, corrections_position

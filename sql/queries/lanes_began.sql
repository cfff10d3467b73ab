-- lanes_began: where each lane began: what it has consumed since is what its counters tell of.
SELECT lane, min(finance_position) AS finance_position, min(corrections_position) AS corrections_position
FROM ops.lane_rules
GROUP BY lane

-- ensure_lanes: every lane has a row before any is claimed: home lanes are locked before their owners come.
INSERT INTO ops.lanes (lane)
SELECT lane
FROM generate_series(0, $1::integer - 1) AS lane
ON CONFLICT (lane) DO NOTHING

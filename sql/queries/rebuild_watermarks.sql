-- rebuild_watermarks: up to which instant each lane has recorded. Whatever an organisation at home there gets later, is later.
SELECT lane, last_recorded_at
FROM ops.lanes
ORDER BY lane

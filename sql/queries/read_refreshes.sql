-- read_refreshes: what the projections know of each lane.
SELECT lane, recorded_until
FROM read_models.refreshes
ORDER BY lane

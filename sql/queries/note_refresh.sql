-- note_refresh: what the projections know of each lane from now on.
INSERT INTO read_models.refreshes AS r (lane, recorded_until, refreshed_at)
SELECT lane, recorded_until, now()
FROM unnest($1::smallint[], $2::timestamptz[]) AS k (lane, recorded_until)
ORDER BY lane
ON CONFLICT (lane) DO UPDATE
SET recorded_until = greatest(r.recorded_until, excluded.recorded_until), refreshed_at = excluded.refreshed_at

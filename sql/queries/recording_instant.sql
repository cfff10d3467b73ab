-- recording_instant: now, or just after the last instant of these lanes, whose locks are held: what is recorded next.
SELECT greatest(now(), max(last_recorded_at) + interval '1 microsecond')
FROM ops.lanes
WHERE lane = ANY ($1::smallint[])

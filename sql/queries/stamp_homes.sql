-- stamp_homes: lanes that are but the home of a batch's organisations remember when it was recorded.
-- So the next event of such an organisation, on whichever lane, is recorded later than this one.
UPDATE ops.lanes
SET last_recorded_at = greatest(last_recorded_at, $2)
WHERE lane = ANY ($1::smallint[])

-- count_lanes: how many lanes the stream was begun with; 0 before the first claim.
SELECT count(*)
FROM ops.lanes

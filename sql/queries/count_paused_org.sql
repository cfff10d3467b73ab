-- count_paused_org: one paused organisation more, or fewer, is at home on this lane.
UPDATE ops.lanes
SET paused_orgs = paused_orgs + $2
WHERE lane = $1

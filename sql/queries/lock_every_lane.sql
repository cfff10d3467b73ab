-- lock_every_lane: no batch commits until this transaction ends; in ascending order, as every writer locks.
SELECT lane
FROM ops.lanes
ORDER BY lane
FOR UPDATE

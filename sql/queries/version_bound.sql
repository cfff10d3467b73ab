-- version_bound: what no balance's version is above. Each batch, and each step of a rebuild, raises a row by one at most.
SELECT coalesce(sum(batches + rebuilds), 0)::bigint
FROM ops.lanes

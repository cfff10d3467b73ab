-- trim_outbox: forget what is both published and invalidated.
DELETE FROM ops.outbox AS o
USING ops.lanes AS l
WHERE l.lane = $1 AND o.lane = l.lane AND o.seq <= least(l.published_seq, l.invalidated_seq)

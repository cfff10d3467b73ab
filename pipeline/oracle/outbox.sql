-- outbox: updates that are committed and not yet known to be published.
SELECT o.updates
FROM ops.outbox AS o
JOIN ops.lanes AS l USING (lane)
WHERE o.seq > l.published_seq
ORDER BY o.lane, o.seq

-- note_rebuild: what a step of a rebuild has left on a home lane, under the lock that fence took. The lane itself stays where it is.
UPDATE ops.lanes
SET outbox_seq       = $2,
    last_recorded_at = greatest(last_recorded_at, $3),
    rebuilds         = rebuilds + 1
WHERE lane = $1

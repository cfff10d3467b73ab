-- resume_org: take an organisation's records again from here on. No row: it is not paused.
-- Under the lock of every lane: where each stands is exactly where the pause ends.
WITH pause AS (
    UPDATE ops.org_pauses
    SET resumed_at = now(), resumed_by = $2
    WHERE org_id = $1 AND resumed_at IS NULL
    RETURNING pause_id
)
UPDATE ops.org_pause_positions AS p
SET finance_to     = coalesce(l.finance_position, 0),
    corrections_to = coalesce(l.corrections_position, 0)
FROM pause, ops.lanes AS l
WHERE p.pause_id = pause.pause_id AND p.lane = l.lane

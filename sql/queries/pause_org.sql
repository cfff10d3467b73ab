-- pause_org: set an organisation's records aside from here on. No row: it is paused already.
-- Under the lock of every lane: where each stands is exactly where the pause begins.
WITH pause AS (
    INSERT INTO ops.org_pauses (pause_id, org_id, paused_by, reason)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (org_id) WHERE resumed_at IS NULL DO NOTHING
    RETURNING pause_id
)
INSERT INTO ops.org_pause_positions (pause_id, lane, finance_from, corrections_from)
SELECT p.pause_id, l.lane, coalesce(l.finance_position, 0), coalesce(l.corrections_position, 0)
FROM pause AS p
CROSS JOIN (SELECT lane, finance_position, corrections_position FROM ops.lanes ORDER BY lane) AS l

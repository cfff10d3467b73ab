-- applied_too_early: what was recorded before its property was loaded; of no use to a record is a load that follows it.
SELECT 'stored_events' AS kind, e.lane, e.record_offset, e.recorded_at, p.known_since
FROM event_store.events AS e
JOIN finance.properties AS p USING (org_id, property_id)
WHERE NOT p.self_registered AND e.recorded_at < p.known_since
UNION ALL
SELECT 'corrections', c.lane, c.record_offset, c.recorded_at, p.known_since
FROM ops.balance_corrections AS c
JOIN finance.properties AS p USING (org_id, property_id)
WHERE NOT p.self_registered AND c.recorded_at < p.known_since

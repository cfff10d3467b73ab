-- latest_booked: of each property of some organisations, the latest instant of an event that was ever booked for it.
-- The store tells of versions that have since moved to another day or property; snapshots outlive the store's months.
-- The store is read by way of the snapshots, of which every stored transaction has one: an index of it by organisation
-- would cost every batch, to serve a command that runs some times a year.
SELECT b.org_id, b.property_id, max(b.occurred_at) AS latest_booked
FROM unnest($1::bigint[]) AS k (org_id)
JOIN event_store.snapshots AS s ON s.org_id = k.org_id
CROSS JOIN LATERAL (
    SELECT s.org_id, s.property_id, s.occurred_at
    UNION ALL
    SELECT e.org_id, e.property_id, e.occurred_at
    FROM event_store.events AS e
    WHERE e.aggregate_id = s.aggregate_id AND e.org_id = s.org_id AND e.aggregate_type = s.aggregate_type
) AS b
GROUP BY b.org_id, b.property_id

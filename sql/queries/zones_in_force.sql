-- zones_in_force: the time zones by which properties live now, and how many do.
SELECT time_zone, count(*) AS properties
FROM (
    SELECT DISTINCT ON (org_id, property_id) time_zone
    FROM finance.property_time_zones
    WHERE valid_from <= now()
    ORDER BY org_id, property_id, valid_from DESC
) AS z
GROUP BY time_zone

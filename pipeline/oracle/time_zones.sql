-- time_zones: the zone of each property from each instant on; the beginning of time as an instant that Python has.
SELECT org_id, property_id, greatest(valid_from, '0001-01-02 00:00:00+00') AS valid_from, time_zone
FROM finance.property_time_zones
ORDER BY org_id, property_id, valid_from

-- upsert_time_zones: the zones of loaded properties, each from its instant on; null: from year 1. None is ever deleted.
INSERT INTO finance.property_time_zones (org_id, property_id, valid_from, time_zone)
SELECT org_id, property_id, coalesce(valid_from, '0001-01-01 00:00:00+00'), time_zone
FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::text[]) AS k (org_id, property_id, valid_from, time_zone)
ORDER BY 1, 2, 3
ON CONFLICT (org_id, property_id, valid_from) DO UPDATE SET time_zone = excluded.time_zone

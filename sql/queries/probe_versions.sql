-- probe_versions: the content stored under versions below their snapshot's: tells duplicate, conflict and stale apart.
-- Also of what was archived since. A month that came back has its versions in both, with the same content.
SELECT e.org_id, e.aggregate_type, e.aggregate_id, e.version, e.hash_version, e.content_hash
FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::integer[]) AS k (org_id, aggregate_type, aggregate_id, version)
JOIN event_store.events AS e USING (org_id, aggregate_type, aggregate_id, version)
UNION ALL
SELECT a.org_id, a.aggregate_type, a.aggregate_id, a.version, a.hash_version, a.content_hash
FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::integer[]) AS k (org_id, aggregate_type, aggregate_id, version)
JOIN ops.archived_versions AS a USING (org_id, aggregate_type, aggregate_id, version)

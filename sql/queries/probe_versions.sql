-- probe_versions: the content stored under versions below their snapshot's: tells duplicate, conflict and stale apart.
SELECT e.org_id, e.aggregate_type, e.aggregate_id, e.version, e.hash_version, e.content_hash
FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::integer[]) AS k (org_id, aggregate_type, aggregate_id, version)
JOIN event_store.events AS e USING (org_id, aggregate_type, aggregate_id, version)

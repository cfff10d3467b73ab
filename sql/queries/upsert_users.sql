-- upsert_users: users who are called something new. Who is called what he was is left alone.
-- Key order: two writers that meet on one key must meet in the same order, or they deadlock.
INSERT INTO read_models.users AS u (org_id, user_id, display_name, recorded_at)
SELECT org_id, user_id, display_name, $4
FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS k (org_id, user_id, display_name)
ORDER BY org_id, user_id
ON CONFLICT (org_id, user_id) DO UPDATE
SET display_name = excluded.display_name,
    recorded_at  = excluded.recorded_at
WHERE u.display_name <> excluded.display_name

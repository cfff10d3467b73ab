-- rebuild_users: what the users of some organisations are called.
SELECT org_id, user_id, display_name
FROM read_models.users
WHERE org_id > $1 AND org_id <= $2 AND ($3::bigint[] IS NULL OR org_id = ANY ($3))

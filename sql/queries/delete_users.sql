-- delete_users: users whom no stored event names.
DELETE FROM read_models.users AS u
USING unnest($1::bigint[], $2::bigint[]) AS k (org_id, user_id)
WHERE u.org_id = k.org_id AND u.user_id = k.user_id

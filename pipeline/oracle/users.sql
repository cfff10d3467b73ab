-- users: what each user is called.
SELECT org_id, user_id, display_name
FROM read_models.users

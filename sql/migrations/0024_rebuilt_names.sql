-- Rebuilds make names anew: one that no event gave goes away
-- depends: 0023_what_is_kept

-- migrate: apply

GRANT DELETE ON read_models.users TO folio_writer;
COMMENT ON TABLE read_models.users IS
    'The newest name that a stored event gave a user, in the order of recording. What was stored before this table was '
    'made is in it after a rebuild.';
COMMENT ON COLUMN read_models.users.recorded_at IS 'Of the batch that brought the name, or of the rebuild.';

-- migrate: rollback

COMMENT ON COLUMN read_models.users.recorded_at IS 'Of the batch that brought the name.';
COMMENT ON TABLE read_models.users IS
    'The newest name that a stored event gave a user, in the order of recording. What was stored before this table was '
    'made is not in it.';
REVOKE DELETE ON read_models.users FROM folio_writer;

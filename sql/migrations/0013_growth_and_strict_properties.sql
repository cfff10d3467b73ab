-- Topics grow, and properties may have to be loaded: what a proof must know of both
-- depends: 0012_dead_letter_export

-- migrate: apply

ALTER TABLE ops.lane_rules
    ADD COLUMN unknown_property text NOT NULL DEFAULT 'register' CHECK (unknown_property IN ('register', 'quarantine')),
    ADD COLUMN lane_count integer CHECK (lane_count > 0);
-- Until now the number of lanes could not change.
UPDATE ops.lane_rules SET lane_count = (SELECT count(*) FROM ops.lanes);
ALTER TABLE ops.lane_rules
    ALTER COLUMN unknown_property DROP DEFAULT,
    ALTER COLUMN lane_count SET NOT NULL;
COMMENT ON COLUMN ops.lane_rules.unknown_property IS 'What becomes of a record whose property nobody has loaded.';
COMMENT ON COLUMN ops.lane_rules.lane_count IS
    'How many lanes there were: the home lane of an organisation is murmur2 of its key modulo this.';

ALTER TABLE finance.properties ADD COLUMN known_since timestamptz;
COMMENT ON COLUMN finance.properties.known_since IS
    'When it was loaded or registered, in the order of recorded_at of its home lane: batches that were recorded before '
    'did not know it. Null: known since before the first lane, or since before this was noted.';

-- A load takes its place in the order of recording: lanes remember it, as they remember a batch.
GRANT UPDATE (last_recorded_at) ON ops.lanes TO folio_operator;

-- migrate: rollback

REVOKE UPDATE (last_recorded_at) ON ops.lanes FROM folio_operator;
ALTER TABLE finance.properties DROP COLUMN known_since;
ALTER TABLE ops.lane_rules DROP COLUMN lane_count, DROP COLUMN unknown_property;

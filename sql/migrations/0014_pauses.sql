-- Pauses: a lane that stands still, an organisation whose records are set aside, and from where to where
-- depends: 0013_growth_and_strict_properties

-- migrate: apply

ALTER TABLE ops.lanes
    ADD COLUMN paused_at             timestamptz,
    ADD COLUMN paused_by             text,
    ADD COLUMN pause_reason          text,
    ADD COLUMN poison_accepted_until timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00',
    ADD COLUMN paused_orgs           integer NOT NULL DEFAULT 0 CHECK (paused_orgs >= 0);
COMMENT ON COLUMN ops.lanes.paused_at IS
    'Nothing of the lane is fetched since then, by an operator''s order or the breaker''s; null: it goes on. A claim does '
    'not lift it.';
COMMENT ON COLUMN ops.lanes.poison_accepted_until IS
    'Whoever resumed the lane has seen its poison: what was appended before counts no more for the breaker.';
COMMENT ON COLUMN ops.lanes.paused_orgs IS
    'Paused organisations that are at home here. Changed under the lock of every lane; a batch looks at the lanes that '
    'it locks, and asks for names only where this is not 0.';

CREATE TABLE ops.org_pauses (
    pause_id   uuid PRIMARY KEY,
    org_id     bigint NOT NULL,
    reason     text NOT NULL,
    paused_at  timestamptz NOT NULL DEFAULT now(),
    paused_by  text NOT NULL,
    resumed_at timestamptz,
    resumed_by text
);
COMMENT ON TABLE ops.org_pauses IS
    'Organisations whose records are set aside among the dead letters (org_paused), and those that were.';
CREATE UNIQUE INDEX org_pauses_open ON ops.org_pauses (org_id) WHERE resumed_at IS NULL;

CREATE TABLE ops.org_pause_positions (
    pause_id         uuid NOT NULL REFERENCES ops.org_pauses,
    lane             smallint NOT NULL,
    finance_from     bigint NOT NULL,
    corrections_from bigint NOT NULL,
    finance_to       bigint,
    corrections_to   bigint,
    PRIMARY KEY (pause_id, lane)
);
COMMENT ON TABLE ops.org_pause_positions IS
    'Where each lane stood at the beginning and at the end of a pause: which records it holds for. Null: it lasts.';

GRANT SELECT ON ops.org_pauses, ops.org_pause_positions TO folio_writer, folio_operator;
GRANT INSERT ON ops.org_pauses, ops.org_pause_positions TO folio_operator;
GRANT UPDATE (resumed_at, resumed_by) ON ops.org_pauses TO folio_operator;
GRANT UPDATE (finance_to, corrections_to) ON ops.org_pause_positions TO folio_operator;
GRANT UPDATE (paused_at, paused_by, pause_reason, poison_accepted_until, paused_orgs) ON ops.lanes TO folio_operator;

-- migrate: rollback

REVOKE UPDATE (paused_at, paused_by, pause_reason, poison_accepted_until, paused_orgs) ON ops.lanes FROM folio_operator;
DROP TABLE ops.org_pause_positions, ops.org_pauses;
ALTER TABLE ops.lanes
    DROP COLUMN paused_orgs,
    DROP COLUMN poison_accepted_until,
    DROP COLUMN pause_reason,
    DROP COLUMN paused_by,
    DROP COLUMN paused_at;

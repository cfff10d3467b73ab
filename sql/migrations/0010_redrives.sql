-- Redrives: which dead letters were sent back to their topic, so that none is sent twice
-- depends: 0009_corrections

-- migrate: apply

CREATE TABLE ops.dead_letter_redrives (
    topic         text NOT NULL,
    lane          smallint NOT NULL,
    record_offset bigint NOT NULL,
    redriven_at   timestamptz NOT NULL DEFAULT now(),
    who           text NOT NULL,
    new_lane      smallint,
    new_offset    bigint,
    PRIMARY KEY (topic, lane, record_offset),
    FOREIGN KEY (topic, lane, record_offset) REFERENCES ops.dead_letters
);
COMMENT ON TABLE ops.dead_letter_redrives IS
    'Dead letters that were sent back to their topic, each once, with the place of the new record. Never updated: '
    'a record that fails again is another letter.';

-- For list_dead_letters, which goes backwards from the newest, and for count_dead_letters, which begins at an instant.
-- Only letters pay for it, and they are few.
CREATE INDEX dead_letters_newest ON ops.dead_letters (recorded_at, topic, lane, record_offset);

GRANT SELECT, INSERT ON ops.dead_letter_redrives TO folio_writer, folio_operator;

-- migrate: rollback

DROP INDEX ops.dead_letters_newest;
DROP TABLE ops.dead_letter_redrives;

-- Dead letters leave through the outbox as well: to a topic, for whoever wants to hear of them
-- depends: 0011_properties_load

-- migrate: apply

ALTER TABLE ops.outbox
    ADD COLUMN letter_count integer NOT NULL DEFAULT 0,
    ADD COLUMN letter_bytes bigint NOT NULL DEFAULT 0;
COMMENT ON TABLE ops.outbox IS
    'Realtime updates of a batch, one JSON document a line, until they are both published and invalidated. The dead '
    'letters of the batch are exported with them; they stay in ops.dead_letters.';
COMMENT ON COLUMN ops.outbox.letter_bytes IS 'What exporting the letters takes into memory.';

ALTER TABLE ops.dead_letters ADD COLUMN outbox_seq bigint;
COMMENT ON COLUMN ops.dead_letters.outbox_seq IS
    'The row of its lane''s outbox with which the letter is exported; null of letters from before there was an export.';

-- For read_letters, by a writer that took a lane over, or fell behind. Only letters pay for it, and they are few.
CREATE INDEX dead_letters_of_outbox ON ops.dead_letters (lane, outbox_seq);

-- migrate: rollback

DROP INDEX ops.dead_letters_of_outbox;
ALTER TABLE ops.dead_letters DROP COLUMN outbox_seq;
COMMENT ON TABLE ops.outbox IS
    'Realtime updates of a batch, one JSON document a line, until they are both published and invalidated.';
ALTER TABLE ops.outbox DROP COLUMN letter_bytes, DROP COLUMN letter_count;

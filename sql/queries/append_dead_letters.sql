-- append_dead_letters: records that broke a rule, as they came, with the reason.
INSERT INTO ops.dead_letters (
    topic, lane, record_offset, reason, detail, appended_at, recorded_at, record_key, record_value, headers, outbox_seq)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
-- Who moves a lane back by hand meets its poison again: the letter is there already.
ON CONFLICT (topic, lane, record_offset) DO NOTHING

-- append_redrives: letters that were sent back, with where each stands now.
INSERT INTO ops.dead_letter_redrives (topic, lane, record_offset, who, new_lane, new_offset)
SELECT k.topic, k.lane, k.record_offset, $1, k.new_lane, k.new_offset
FROM unnest($2::text[], $3::smallint[], $4::bigint[], $5::smallint[], $6::bigint[])
    AS k (topic, lane, record_offset, new_lane, new_offset)
ORDER BY k.topic, k.lane, k.record_offset
ON CONFLICT (topic, lane, record_offset) DO NOTHING

-- append_corrections: the corrections that a batch applies, as they came.
INSERT INTO ops.balance_corrections (
    org_id, correction_id, property_id, balance_date, kind, declared_closing_cents, hash_version, content_hash, lane,
    record_offset, finance_position, appended_at, recorded_at, issued_at, recorded_by_user_id, reason, correction_data,
    headers)
SELECT *
FROM unnest(
    $1::bigint[], $2::uuid[], $3::bigint[], $4::date[], $5::text[], $6::bigint[], $7::smallint[], $8::bytea[],
    $9::smallint[], $10::bigint[], $11::bigint[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[],
    $15::bigint[], $16::text[], $17::bytea[], $18::bytea[])
ORDER BY 1, 2

-- corrections: what is applied of every asked lane, in the order in which the chains took it in.
SELECT org_id, correction_id::text, property_id, balance_date::text, kind, declared_closing_cents, hash_version,
       content_hash, lane, record_offset, finance_position, appended_at, recorded_at, issued_at, recorded_by_user_id,
       reason, correction_data, headers
FROM ops.balance_corrections
WHERE ($1::smallint IS NULL OR lane = $1) AND recorded_at > $2
ORDER BY lane, recorded_at

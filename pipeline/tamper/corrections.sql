-- corrections: what is applied of every asked lane, by window, and there in the order in which the chains took it in.
-- One sort: they are few, and no index finds the instants of a window (measured in docs/tamper-evidence.md). $3: the last instant of each window.
SELECT org_id, correction_id::text, property_id, balance_date::text, kind, declared_closing_cents, hash_version,
       content_hash, lane, record_offset, finance_position, appended_at, recorded_at, issued_at, recorded_by_user_id,
       reason, correction_data, headers
FROM ops.balance_corrections
WHERE ($1::smallint IS NULL OR lane = $1) AND recorded_at > $2
ORDER BY width_bucket(recorded_at - interval '1 microsecond', $3::timestamptz[]), lane, recorded_at

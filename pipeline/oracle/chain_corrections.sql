-- chain_corrections: the corrections in the order in which the chain took them in, with every column.
SELECT org_id, correction_id, property_id, balance_date, kind, declared_closing_cents, hash_version, content_hash,
       lane, record_offset, finance_position, appended_at, recorded_at, issued_at, recorded_by_user_id, reason,
       correction_data, headers
FROM ops.balance_corrections
ORDER BY lane, recorded_at

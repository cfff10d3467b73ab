-- corrections: every applied correction; its bytes as a digest, which proves as much and travels lighter.
SELECT org_id, uuid_send(correction_id) AS correction_id,
       lane, record_offset, finance_position, property_id, balance_date, kind, declared_closing_cents,
       appended_at, issued_at, recorded_by_user_id, reason, sha256(correction_data) AS correction_data_sha256,
       hash_version, content_hash
FROM ops.balance_corrections

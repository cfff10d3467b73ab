-- record_drifts: what a check has found; one that stands open already is seen once more.
INSERT INTO ops.drifts AS d (
    drift_id, kind, org_id, subject, differs, before, after, first_seen_at, last_seen_at, first_job_id, last_job_id)
SELECT drift_id, kind, org_id, subject, string_to_array(differs, ' '), before::jsonb, after::jsonb, $8, $8, $9, $9
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[])
    AS f (drift_id, kind, org_id, subject, differs, before, after)
ORDER BY org_id, kind, subject
ON CONFLICT (org_id, kind, subject) WHERE repaired_at IS NULL DO UPDATE
SET differs      = excluded.differs,
    before       = excluded.before,
    after        = excluded.after,
    last_seen_at = excluded.last_seen_at,
    last_job_id  = excluded.last_job_id

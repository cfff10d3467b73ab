-- begin_job: a job that may be killed and taken up again, and where it stands.
INSERT INTO ops.jobs (job_id, kind, state, progress)
VALUES ($1, $2, 'running', $3::jsonb)

-- record_job: where a job stands now, how it ended, and by which error.
UPDATE ops.jobs
SET state = $2, progress = $3::jsonb, last_error = $4, updated_at = now()
WHERE job_id = $1

-- append_report: what a job has to say, for whoever asks later.
INSERT INTO ops.reports (report_id, kind, body) VALUES ($1, $2, $3::jsonb)

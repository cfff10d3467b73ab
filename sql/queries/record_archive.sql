-- record_archive: the rows of an expired month are in a file.
UPDATE ops.expired_months
SET archive = $4, archive_sha256 = $5, row_count = $6, archived_at = now()
WHERE parent = $1 AND month = $2 AND detached_at = $3 AND dropped_at IS NULL

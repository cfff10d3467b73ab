-- waiting_months: expired months whose rows are not yet archived and dropped.
SELECT parent, month, detached_at, to_archive, archived_at IS NOT NULL AS archived
FROM ops.expired_months
WHERE dropped_at IS NULL
ORDER BY parent, month

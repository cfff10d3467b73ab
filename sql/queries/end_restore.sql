-- end_restore: the filled table of an archived month becomes a partition again.
SELECT ops.end_restore($1::text::regclass, $2, $3, $4)

-- begin_restore: an empty table for the rows of an archived month; returns its name.
SELECT ops.begin_restore($1::text::regclass, $2, $3)

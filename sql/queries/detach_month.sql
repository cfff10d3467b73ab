-- detach_month: a month leaves its table, and waits beside it to be archived and dropped.
SELECT ops.detach_month($1::text::regclass, $2, $3)

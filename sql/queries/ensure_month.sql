-- ensure_month: the partition of a month, with its rows that were in the default partition; false where it was there.
SELECT ops.ensure_month($1::text::regclass, $2, $3)

-- set_aside_month: rows of an expired month leave the default partition, at most so many; returns how many.
SELECT ops.set_aside_month($1::text::regclass, $2, $3, $4, $5)

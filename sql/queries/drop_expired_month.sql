-- drop_expired_month: the rows of an expired month are gone; returns how many there were.
SELECT ops.drop_expired_month($1::text::regclass, $2)

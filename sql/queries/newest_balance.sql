-- newest_balance: the epoch of the primary, and the newest day of a property with a row on or before a date; null where there is none.
-- A transaction by itself, and never within another one: whatever misses the cache waits for it.
SELECT * FROM finance.newest_balance($1, $2, $3, $4, $5)

-- count_checked: how many transactions a check looks at: slice $2 of $1, or the organisations $3.
SELECT count(*)
FROM ops.checked_snapshots($1, $2, $3)

-- count_checked: how many transactions a check looks at, and how many of them are behind their first version.
-- Slice $2 of $1, or the organisations $3.
SELECT count(*) AS transactions, count(*) FILTER (WHERE version > 1) AS revised
FROM ops.checked_snapshots($1, $2, $3)

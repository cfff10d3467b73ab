-- count_drifts: how many drifts of each kind stand open.
SELECT kind, count(*) AS open
FROM ops.drifts
WHERE repaired_at IS NULL
GROUP BY kind

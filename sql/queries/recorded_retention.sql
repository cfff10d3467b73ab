-- recorded_retention: for how many months whoever claimed each lane last keeps rows of transactions.
SELECT lane, retention_months
FROM ops.lanes
WHERE retention_months IS NOT NULL
ORDER BY lane

-- append_balances: days that had no row get theirs.
INSERT INTO finance.daily_cash_balances_partitioned
SELECT *
FROM staging_balances
WHERE version = 1
ORDER BY org_id, property_id, balance_date

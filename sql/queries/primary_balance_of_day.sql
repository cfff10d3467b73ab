-- primary_balance_of_day: the epoch of the primary, and one day of a property with it; null in its columns where it has no row.
-- One statement instead of two: whatever misses the cache waits for it.
SELECT e.epoch,
       b.property_id, b.balance_date, b.version, b.opening_balance_cents, b.cash_received_cents, b.bank_received_cents,
       b.cash_expenses_cents, b.bank_expenses_cents, b.calculated_closing_balance_cents, b.declared_closing_cents,
       b.closing_balance_cents, b.balance_discrepancy_cents, b.last_event_id, b.updated_at
FROM (
    SELECT system_identifier::text || '-'
        || ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int::text AS epoch
    FROM pg_control_system()
) AS e
LEFT JOIN finance.daily_cash_balances_partitioned AS b
    ON b.org_id = $1 AND b.property_id = $2 AND b.balance_date = $3

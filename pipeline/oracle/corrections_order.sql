-- corrections_order: when each applied correction was recorded, which tells its order among the events.
SELECT lane, record_offset, finance_position, recorded_at
FROM ops.balance_corrections
ORDER BY lane, record_offset

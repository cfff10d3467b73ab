-- expired_months: the months that left their tables, those of the store that came back, and those that are in no archive yet.
SELECT parent, month, restored_at IS NOT NULL AS restored, dropped_at IS NULL AS waiting
FROM ops.expired_months

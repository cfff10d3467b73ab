-- expired_months: the months that left their tables, and those of the store that came back.
SELECT parent, month, restored_at IS NOT NULL AS restored
FROM ops.expired_months

-- default_months: which months have rows in the default partitions, and how many.
SELECT parent, month, row_count FROM ops.default_months() ORDER BY month, parent

-- missing_months: of the tables of months, which months around a date are to be made, the oldest first.
-- A table that is there under the name of a month is that month. Events are recorded now, never in the past.
SELECT t.parent, t.column_name, m.month
FROM generate_series(-$2::integer, $3::integer) AS step,
     LATERAL (SELECT (date_trunc('month', $1::date) + make_interval(months => step))::date AS month) AS m,
     LATERAL (VALUES ('finance.revenues_partitioned', 'occurred_at'), ('finance.expenses_partitioned', 'occurred_at'),
                     ('event_store.events', 'recorded_at')) AS t (parent, column_name)
WHERE (step >= 0 OR t.column_name = 'occurred_at') AND to_regclass(ops.month_table(t.parent::regclass, m.month)) IS NULL
ORDER BY m.month, t.parent

-- sum_nightly: how many days a night audit has found, and what is amiss in all.
SELECT finding, count(*) AS days, sum(abs(cents))::bigint AS cents
FROM ops.night_audit_days
WHERE report_id = $1
GROUP BY finding

-- booked_as_recorded: what had been recorded for a property's days up to one, by an instant: one row for each part.
-- One statement, and so one snapshot: a transaction that changes meanwhile is not both unchanged and changed.
--   property    its opening cash, where there is such a property
--   unchanged   newest versions that were recorded by then, from the snapshots alone, added up
--   changed     of the transactions that changed later, the highest version that was recorded by then; of any property,
--               since they may have moved
--   lost        transactions whose version of then may be in a month that was archived: what was stale when it came lay
--               below another one, and what was recorded before a gap may have been followed by another one
--   adjusted    what figures corrections had added
--   counted     the last declared closing; null: it was withdrawn.
WITH months AS MATERIALIZED (
    SELECT substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \(''([^'']+)''\)')::timestamptz AS lower_bound,
           substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']+)''\)')::timestamptz AS upper_bound
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'event_store.events'::regclass
), store AS MATERIALIZED (
    -- From when on the store has every month up to the instant. Where that of the instant is gone: from the next one.
    SELECT CASE WHEN EXISTS (SELECT FROM months WHERE lower_bound <= $4 AND upper_bound > $4)
                THEN (SELECT max(m.lower_bound) FROM months AS m
                      WHERE m.lower_bound <= $4
                        AND NOT EXISTS (SELECT FROM months AS b WHERE b.upper_bound = m.lower_bound))
                ELSE coalesce((SELECT min(lower_bound) FROM months WHERE lower_bound > $4), 'infinity')
           END AS whole_from
)
SELECT 'property' AS part, NULL::date AS balance_date, NULL AS kind, NULL AS payment_mode, opening_cash_cents AS cents,
       NULL::bigint AS bank_received_cents, NULL::bigint AS cash_expenses_cents, NULL::bigint AS bank_expenses_cents,
       NULL::bytea AS event_data, NULL::bytea AS headers
FROM finance.properties
WHERE org_id = $1 AND property_id = $2
UNION ALL
SELECT 'unchanged', balance_date, aggregate_type, payment_mode, sum(contribution_cents)::bigint, NULL, NULL, NULL, NULL,
       NULL
FROM event_store.snapshots
WHERE org_id = $1 AND property_id = $2 AND balance_date <= $3 AND updated_at <= $4
GROUP BY balance_date, aggregate_type, payment_mode
UNION ALL
(SELECT CASE WHEN e.version IS NULL OR e.outcome = 'stale' OR e.recorded_at < s.whole_from THEN 'lost'
             ELSE 'changed' END,
        e.balance_date, s.aggregate_type, NULL, NULL, NULL,
        NULL, NULL, e.event_data, e.headers
 FROM (SELECT * FROM event_store.snapshots, store WHERE org_id = $1 AND updated_at > $4) AS s
 LEFT JOIN LATERAL (
     SELECT v.version, v.outcome, v.recorded_at, v.property_id, v.balance_date, v.event_data, v.headers
     FROM event_store.events AS v
     WHERE v.aggregate_id = s.aggregate_id AND v.org_id = $1 AND v.aggregate_type = s.aggregate_type
       AND v.recorded_at <= $4
     ORDER BY v.version DESC
     LIMIT 1
 ) AS e ON true
 WHERE e.property_id = $2 AND e.balance_date <= $3 OR e.outcome = 'stale' OR e.recorded_at < s.whole_from
    OR e.version IS NULL AND s.created_at < s.whole_from
 LIMIT $5)
UNION ALL
SELECT 'adjusted', balance_date, NULL, NULL, sum(cash_received_cents)::bigint, sum(bank_received_cents)::bigint,
       sum(cash_expenses_cents)::bigint, sum(bank_expenses_cents)::bigint, NULL, NULL
FROM ops.balance_adjustments
WHERE org_id = $1 AND property_id = $2 AND balance_date <= $3 AND recorded_at <= $4
GROUP BY balance_date
UNION ALL
(SELECT DISTINCT ON (balance_date)
        'counted', balance_date, NULL, NULL, declared_closing_cents, NULL, NULL, NULL, NULL, NULL
 FROM ops.balance_corrections
 WHERE org_id = $1 AND property_id = $2 AND balance_date <= $3 AND recorded_at <= $4 AND kind = 'declared_closing'
 ORDER BY balance_date, recorded_at DESC)

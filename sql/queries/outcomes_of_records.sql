-- outcomes_of_records: what became of records of topic $2 that were sent a moment ago and decided since, in their order.
-- With the latest day on or before the one that each is booked on; of what was no news: that its transaction is booked on.
WITH decided AS MATERIALIZED (
    -- Apart: row security keeps a condition with an expression out of the index of the balances.
    SELECT sent.place, stored.outcome, letter.reason, letter.detail, newest.version AS newest_version,
           coalesce(stored.property_id, newest.property_id) AS booked_at,
           coalesce(stored.balance_date, newest.balance_date) AS booked_on
    FROM unnest($3::smallint[], $4::bigint[], $5::text[], $6::bigint[], $7::integer[])
        WITH ORDINALITY AS sent (lane, record_offset, aggregate_type, aggregate_id, version, place)
    -- Recorded at the decision, by the database's clock: what was sent a moment ago is in the newest month, or in two.
    LEFT JOIN event_store.events AS stored
        ON stored.org_id = $1 AND stored.aggregate_type = sent.aggregate_type AND stored.aggregate_id = sent.aggregate_id
        AND stored.version = sent.version AND stored.lane = sent.lane AND stored.record_offset = sent.record_offset
        AND stored.recorded_at >= now() - interval '1 day' AND stored.recorded_at < now() + interval '1 day'
    LEFT JOIN ops.own_dead_letters($2, $3, $4) AS letter
        ON letter.lane = sent.lane AND letter.record_offset = sent.record_offset
    LEFT JOIN event_store.snapshots AS newest
        ON newest.org_id = $1 AND newest.aggregate_type = sent.aggregate_type AND newest.aggregate_id = sent.aggregate_id
)
SELECT d.outcome, d.reason, d.detail, d.newest_version, d.booked_on, balance.*
FROM decided AS d
LEFT JOIN LATERAL (
    SELECT property_id, balance_date, version, opening_balance_cents, cash_received_cents, bank_received_cents,
           cash_expenses_cents, bank_expenses_cents, calculated_closing_balance_cents, declared_closing_cents,
           closing_balance_cents, balance_discrepancy_cents, last_event_id, updated_at
    FROM finance.daily_cash_balances_partitioned
    WHERE org_id = $1 AND property_id = d.booked_at AND balance_date <= d.booked_on
    ORDER BY balance_date DESC
    LIMIT 1
) AS balance ON true
ORDER BY d.place

-- fill_events: events of transactions that no workload names, as a record of today's was stored.
INSERT INTO event_store.events (
    recorded_at, lane, record_offset, org_id, aggregate_type, aggregate_id, version, event_type, event_id, property_id,
    balance_date, occurred_at, appended_at, outcome, hash_version, content_hash, event_data, headers)
SELECT date_trunc('month', now()), n % 8, n, 1 + (n * 7919) % $3::bigint, 'revenue', n - 1000000000000, 1,
       'revenue.created', gen_random_uuid(), 1000000000000, current_date, now(), now(), 'applied', 1,
       uuid_send(gen_random_uuid()), convert_to(repeat(md5(n::text), 11), 'UTF8'), NULL
FROM generate_series($1::bigint, $2::bigint) AS n

-- create_staging: where a batch lands before it is spread over the tables; once per connection, emptied by each commit.
-- Made per batch, temporary tables would bloat the catalogs.
CREATE TEMPORARY TABLE staging_events (
    recorded_at         timestamptz,
    lane                smallint,
    record_offset       bigint,
    org_id              bigint,
    aggregate_type      text,
    aggregate_id        bigint,
    version             integer,
    event_type          text,
    event_id            uuid,
    property_id         bigint,
    balance_date        date,
    occurred_at         timestamptz,
    appended_at         timestamptz,
    outcome             text,
    hash_version        smallint,
    content_hash        bytea,
    event_data          bytea,
    headers             bytea,
    -- The rest is filled only for the newest version of each transaction.
    booking             text, -- new: there was no snapshot; known: there was
    retained            boolean,
    payment_mode        text,
    status              text,
    amount_cents        bigint,
    contribution_cents  bigint,
    currency            text,
    category            text,
    description         text,
    bank_reference      text,
    source              text,
    created_at          timestamptz,
    created_by_user_id  bigint,
    approved_at         timestamptz,
    approved_by_user_id bigint
) ON COMMIT DELETE ROWS;

CREATE TEMPORARY TABLE staging_balances (
    LIKE finance.daily_cash_balances_partitioned
) ON COMMIT DELETE ROWS;

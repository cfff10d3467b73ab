-- What a peer writes: the columns of our own tables that matter, in the cheapest tables that hold them. Not partitioned,
-- one index each, no checks; the ids of the workload are distinct, so the kind of a transaction is not in the key.
CREATE TABLE transactions (
    org_id             bigint NOT NULL,
    id                 bigint NOT NULL,
    type               text NOT NULL,
    version            integer NOT NULL,
    property_id        bigint NOT NULL,
    occurred_at        timestamptz NOT NULL,
    balance_date       date NOT NULL,
    amount_cents       bigint NOT NULL,
    payment_mode       text NOT NULL,
    status             text NOT NULL,
    currency           text,
    category           text,
    description        text,
    bank_reference     text,
    source             text,
    created_by_user_id bigint NOT NULL,
    PRIMARY KEY (org_id, id)
);

CREATE TABLE daily_balances (
    org_id              bigint NOT NULL,
    property_id         bigint NOT NULL,
    balance_date        date NOT NULL,
    cash_received_cents bigint NOT NULL,
    bank_received_cents bigint NOT NULL,
    cash_expenses_cents bigint NOT NULL,
    bank_expenses_cents bigint NOT NULL,
    PRIMARY KEY (org_id, property_id, balance_date)
) WITH (fillfactor = 70);

-- For peers that keep their positions in the transaction.
CREATE TABLE positions (
    partition integer PRIMARY KEY,
    position  bigint NOT NULL
);

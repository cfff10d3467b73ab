-- As the others' tables. But where the first row of a batch has a NULL, the sink leaves that column out of the whole
-- batch: texts that are absent are therefore written as empty ones, and read as NULL.
CREATE TABLE rows (
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

CREATE VIEW transactions AS
SELECT org_id, id, type, version, property_id, occurred_at, balance_date, amount_cents, payment_mode, status,
       nullif(currency, '') AS currency, nullif(category, '') AS category, nullif(description, '') AS description,
       nullif(bank_reference, '') AS bank_reference, nullif(source, '') AS source, created_by_user_id
FROM rows;

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

-- The sink writes the fields of an event as they come, flattened. It cannot tell a day from an instant, so the database does.
CREATE TABLE rows (
    org_id              bigint NOT NULL,
    aggregate_id        bigint NOT NULL,
    type                text NOT NULL,
    version             integer NOT NULL,
    property_id         bigint NOT NULL,
    occurred_at         timestamptz NOT NULL,
    data_amount_cents   bigint NOT NULL,
    data_payment_mode   text NOT NULL,
    data_status         text NOT NULL,
    data_currency       text,
    data_category       text,
    data_description    text,
    data_bank_reference text,
    data_source         text,
    recorded_by_user_id bigint NOT NULL,
    balance_date        date NOT NULL GENERATED ALWAYS AS ((occurred_at AT TIME ZONE 'Asia/Kolkata')::date) STORED,
    PRIMARY KEY (org_id, aggregate_id)
);

CREATE VIEW transactions AS
SELECT org_id, aggregate_id AS id, type, version, property_id, occurred_at, balance_date,
       data_amount_cents AS amount_cents, data_payment_mode AS payment_mode, data_status AS status,
       data_currency AS currency, data_category AS category, data_description AS description,
       data_bank_reference AS bank_reference, data_source AS source, recorded_by_user_id AS created_by_user_id
FROM rows;

-- Transactions: revenues and expenses by month of occurred_at
-- depends: 0003_event_store

-- migrate: apply

CREATE TABLE finance.revenues_partitioned (
    org_id              bigint NOT NULL,
    id                  bigint NOT NULL,
    occurred_at         timestamptz NOT NULL,
    property_id         bigint NOT NULL,
    balance_date        date NOT NULL,
    amount_cents        bigint NOT NULL CHECK (amount_cents > 0),
    currency            text NOT NULL,
    payment_mode        text NOT NULL CHECK (payment_mode IN ('cash', 'bank')),
    status              text NOT NULL CHECK (status IN ('pending', 'approved', 'rejected', 'deleted')),
    category            text,
    description         text,
    bank_reference      text,
    source              text,
    version             integer NOT NULL,
    created_by_user_id  bigint NOT NULL,
    created_at          timestamptz NOT NULL,
    approved_by_user_id bigint,
    approved_at         timestamptz,
    updated_at          timestamptz NOT NULL,
    PRIMARY KEY (org_id, id, occurred_at)
) PARTITION BY RANGE (occurred_at);
-- Serves the transactions of a property's day (queries/revenues_of_day.sql).
CREATE INDEX revenues_of_day ON finance.revenues_partitioned (org_id, property_id, balance_date);
CREATE TABLE finance.revenues_default PARTITION OF finance.revenues_partitioned DEFAULT;

CREATE TABLE finance.expenses_partitioned (
    org_id              bigint NOT NULL,
    id                  bigint NOT NULL,
    occurred_at         timestamptz NOT NULL,
    property_id         bigint NOT NULL,
    balance_date        date NOT NULL,
    amount_cents        bigint NOT NULL CHECK (amount_cents > 0),
    currency            text NOT NULL,
    payment_mode        text NOT NULL CHECK (payment_mode IN ('cash', 'bank')),
    status              text NOT NULL CHECK (status IN ('pending', 'approved', 'rejected', 'deleted')),
    category            text,
    description         text,
    bank_reference      text,
    source              text,
    version             integer NOT NULL,
    created_by_user_id  bigint NOT NULL,
    created_at          timestamptz NOT NULL,
    approved_by_user_id bigint,
    approved_at         timestamptz,
    updated_at          timestamptz NOT NULL,
    PRIMARY KEY (org_id, id, occurred_at)
) PARTITION BY RANGE (occurred_at);
-- Serves the transactions of a property's day (queries/expenses_of_day.sql).
CREATE INDEX expenses_of_day ON finance.expenses_partitioned (org_id, property_id, balance_date);
CREATE TABLE finance.expenses_default PARTITION OF finance.expenses_partitioned DEFAULT;

GRANT SELECT, INSERT, UPDATE, DELETE ON finance.revenues_partitioned, finance.expenses_partitioned TO folio_writer;

-- migrate: rollback

DROP TABLE finance.expenses_partitioned, finance.revenues_partitioned;

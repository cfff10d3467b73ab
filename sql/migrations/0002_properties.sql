-- Properties: currency, opening cash, and the time zone in force at each instant
-- depends: 0001_schemas_and_roles

-- migrate: apply

CREATE TABLE finance.properties (
    org_id             bigint NOT NULL CHECK (org_id > 0),
    property_id        bigint NOT NULL CHECK (property_id > 0),
    name               text,
    currency           text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    opening_cash_cents bigint NOT NULL DEFAULT 0,
    self_registered    boolean NOT NULL,
    created_at         timestamptz NOT NULL,
    PRIMARY KEY (org_id, property_id)
);
COMMENT ON COLUMN finance.properties.opening_cash_cents IS 'The opening of the first day with a row.';
COMMENT ON COLUMN finance.properties.self_registered IS 'Made by its first event with the defaults, not loaded.';

CREATE TABLE finance.property_time_zones (
    org_id      bigint NOT NULL,
    property_id bigint NOT NULL,
    valid_from  timestamptz NOT NULL,
    time_zone   text NOT NULL,
    PRIMARY KEY (org_id, property_id, valid_from),
    FOREIGN KEY (org_id, property_id) REFERENCES finance.properties
);
COMMENT ON TABLE finance.property_time_zones IS
    'The zone whose calendar gives the balance date, from valid_from until the next row. The first is of year 1: asyncpg reads -infinity as an instant without zone.';

GRANT SELECT, INSERT ON finance.properties, finance.property_time_zones TO folio_writer;

-- migrate: rollback

DROP TABLE finance.property_time_zones, finance.properties;

-- Schemas, and the roles that share the work: one writes the books, one reads them
-- depends:

-- migrate: apply

CREATE SCHEMA finance;
CREATE SCHEMA event_store;
CREATE SCHEMA read_models;
CREATE SCHEMA ops;

COMMENT ON SCHEMA finance IS 'Properties, transactions and daily cash balances: what accountants read.';
COMMENT ON SCHEMA event_store IS 'Every accepted event, append-only, and the latest state of each aggregate.';
COMMENT ON SCHEMA read_models IS 'Projections; each can be dropped and rebuilt by replaying the event store.';
COMMENT ON SCHEMA ops IS 'Lanes, outbox, dead letters, jobs, audit: what operators read.';

-- Roles belong to the cluster, not to the database: another database of it may have made them.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['folio_writer', 'folio_reader', 'folio_operator'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA finance, event_store, read_models, ops TO folio_writer, folio_operator;
GRANT USAGE ON SCHEMA finance, read_models TO folio_reader;
-- A worker refuses to start on a schema that is not the one it was written for.
GRANT SELECT ON public._pogo_migration, public._pogo_version TO folio_writer, folio_operator;

-- migrate: rollback

DROP SCHEMA ops, read_models, event_store, finance;

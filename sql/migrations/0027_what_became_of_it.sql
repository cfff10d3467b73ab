-- What became of a record, for whoever has sent it: how far the lanes are, and an organisation's own dead letters
-- depends: 0026_digests

-- migrate: apply

-- A reader may know up to where a lane has decided, and nothing else of it.
CREATE FUNCTION ops.finance_positions() RETURNS TABLE (lane smallint, finance_position bigint)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 64 SET search_path = pg_catalog, pg_temp AS $$
    SELECT lane, finance_position FROM ops.lanes WHERE finance_position IS NOT NULL
$$;
COMMENT ON FUNCTION ops.finance_positions IS
    'Of each lane that has begun, the next offset of finance-events: every record before it was decided.';
REVOKE EXECUTE ON FUNCTION ops.finance_positions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ops.finance_positions TO folio_reader, folio_writer, folio_operator;

-- A letter has no column for its organisation, for nothing of it may be understood. Its key is the organisation where a
-- producer of ours has sent it, and whoever reads sees letters under its own key alone.
CREATE FUNCTION ops.own_dead_letters(of_topic text, of_lanes smallint[], of_offsets bigint[])
RETURNS TABLE (lane smallint, record_offset bigint, reason text, detail text)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
    SELECT l.lane, l.record_offset, l.reason, l.detail
    FROM unnest(of_lanes, of_offsets) AS k (lane, record_offset)
    JOIN ops.dead_letters AS l
        ON l.topic = of_topic AND l.lane = k.lane AND l.record_offset = k.record_offset
    WHERE l.record_key = convert_to(nullif(current_setting('folio.org_id', true), ''), 'UTF8')
$$;
COMMENT ON FUNCTION ops.own_dead_letters IS
    'Of records of a topic those that became dead letters, as far as their key is the organisation that the session names.';
REVOKE EXECUTE ON FUNCTION ops.own_dead_letters FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ops.own_dead_letters TO folio_reader, folio_writer, folio_operator;

-- migrate: rollback

DROP FUNCTION ops.own_dead_letters;
DROP FUNCTION ops.finance_positions;

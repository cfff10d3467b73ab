-- A day for a reader in one round trip, where the four of a transaction cost more than what is read
-- depends: 0027_what_became_of_it

-- migrate: apply

-- plpgsql, for what its first statement sets holds for the planning of its second: row security among it. All of it
-- ends with the transaction of the statement that calls this. A statement cannot bound itself; its transaction and its
-- waits for locks it can, so that none goes on here for a client that has given up.
CREATE FUNCTION finance.newest_balance(
    wanted_org bigint, wanted_property bigint, wanted_day date, reader text, milliseconds text
)
RETURNS TABLE (
    epoch text, property_id bigint, balance_date date, version bigint, opening_balance_cents bigint,
    cash_received_cents bigint, bank_received_cents bigint, cash_expenses_cents bigint, bank_expenses_cents bigint,
    calculated_closing_balance_cents bigint, declared_closing_cents bigint, closing_balance_cents bigint,
    balance_discrepancy_cents bigint, last_event_id uuid, updated_at timestamptz
)
LANGUAGE plpgsql ROWS 1 AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('folio.org_id', wanted_org::text, true), set_config('transaction_read_only', 'on', true),
            set_config('transaction_timeout', milliseconds, true), set_config('lock_timeout', milliseconds, true),
            set_config('plan_cache_mode', 'force_generic_plan', true), set_config('role', reader, true);
    RETURN QUERY
    SELECT e.epoch, b.*
    FROM (
        -- Fails on a standby: that is no primary.
        SELECT system_identifier::text || '-'
            || ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int::text AS epoch
        FROM pg_control_system()
    ) AS e
    LEFT JOIN (
        SELECT property_id, balance_date, version, opening_balance_cents, cash_received_cents, bank_received_cents,
               cash_expenses_cents, bank_expenses_cents, calculated_closing_balance_cents, declared_closing_cents,
               closing_balance_cents, balance_discrepancy_cents, last_event_id, updated_at
        FROM finance.daily_cash_balances_partitioned
        WHERE org_id = wanted_org AND property_id = wanted_property AND balance_date <= wanted_day
        ORDER BY balance_date DESC
        LIMIT 1
    ) AS b ON true;
END
$$;
COMMENT ON FUNCTION finance.newest_balance IS
    'The epoch of the primary, and the newest day with a row on or before a date, read as the role that is named. '
    'Not within a transaction: the role, the organisation and the bounds would stay until its end.';

-- migrate: rollback

DROP FUNCTION finance.newest_balance;

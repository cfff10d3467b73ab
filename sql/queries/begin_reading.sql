-- begin_reading: this transaction reads for one organisation, as a reader and within bounds; and where the server stands.
-- Generic plans, as in enter_org: planning a report for each question would take longer than answering it.
WITH position AS MATERIALIZED (
    -- First: what the receiver says is for the login to see, not for the reader. The timeline as in server_position.
    SELECT pg_is_in_recovery() AS in_recovery,
           control.system_identifier::text || '-' || CASE
               WHEN pg_is_in_recovery() THEN greatest(
                   receiver.received_tli, checkpoint.timeline_id, recovery.min_recovery_end_timeline)
               ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
           END::text AS epoch,
           (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END
               - '0/0'::pg_lsn)::bigint AS lsn
    FROM pg_control_system() AS control, pg_control_checkpoint() AS checkpoint, pg_control_recovery() AS recovery
    LEFT JOIN pg_stat_wal_receiver AS receiver ON true
)
SELECT in_recovery, epoch, lsn, set_config('folio.org_id', $1::bigint::text, true),
       set_config('statement_timeout', $2, true), set_config('transaction_timeout', $3, true),
       set_config('plan_cache_mode', 'force_generic_plan', true), set_config('role', $4, true)
FROM position

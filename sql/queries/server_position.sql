-- server_position: of which history a server is, whether it only replays another's, how far it is, and what its clock says.
-- A standby is on the newest timeline that its receiver or its control file knows. It may not have replayed up to there:
-- then it is before the fork, and what both histories have in common.
SELECT pg_is_in_recovery() AS in_recovery,
       control.system_identifier::text || '-' || CASE
           WHEN pg_is_in_recovery() THEN greatest(
               receiver.received_tli, checkpoint.timeline_id, recovery.min_recovery_end_timeline)
           ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
       END::text AS epoch,
       (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END
           - '0/0'::pg_lsn)::bigint AS lsn,
       extract(epoch FROM clock_timestamp())::float8 AS clock,
       -- The instant of the commit, by the clock of the primary that committed: never to be compared with the line above.
       extract(epoch FROM pg_last_xact_replay_timestamp())::float8 AS replayed_at,
       receiver.status AS receiver,
       current_setting('server_version') AS version
FROM pg_control_system() AS control, pg_control_checkpoint() AS checkpoint, pg_control_recovery() AS recovery
LEFT JOIN pg_stat_wal_receiver AS receiver ON true

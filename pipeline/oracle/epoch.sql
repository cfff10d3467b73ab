-- epoch: (system identifier, timeline) of the primary, as updates carry it; null on a standby, which may not know the newest.
SELECT CASE WHEN NOT pg_is_in_recovery() THEN
    system_identifier::text || '-' || ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int::text END
FROM pg_control_system()

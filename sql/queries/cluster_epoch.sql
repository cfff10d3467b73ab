-- cluster_epoch: (system identifier, timeline) of the primary; a failover changes it, and clients resync.
SELECT system_identifier::text || '-' || ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int::text
FROM pg_control_system()

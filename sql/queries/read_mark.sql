-- read_mark: what to read by for whoever must see what this connection could see before: history and position.
SELECT system_identifier::text || '-' || ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int::text
           AS epoch,
       (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint AS lsn
FROM pg_control_system()

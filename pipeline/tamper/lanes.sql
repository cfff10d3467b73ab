-- lanes: where each lane's chain stands, and which primary is asked.
SELECT lane, chain_seq, chain_head, published_seq < outbox_seq AS untold,
       (SELECT system_identifier::text FROM pg_control_system()) || '-'
           || ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int::text AS cluster_epoch
FROM ops.lanes
WHERE $1::smallint IS NULL OR lane = $1
ORDER BY lane

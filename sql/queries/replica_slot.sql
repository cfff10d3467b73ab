-- replica_slot: whether the primary still keeps what a replica has not had: reserved, extended, unreserved, or lost.
SELECT wal_status FROM pg_replication_slots WHERE slot_name = $1

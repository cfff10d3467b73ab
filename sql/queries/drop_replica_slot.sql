-- drop_replica_slot: nothing is kept for a replica any more; nothing where it has no slot.
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1

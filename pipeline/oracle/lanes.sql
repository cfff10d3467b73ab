-- lanes: what each lane has consumed, and what it says became of it.
SELECT lane, finance_position, corrections_position, published_seq, chain_seq, chain_head, last_recorded_at, rebuilds,
       retention_months, transactions_since, applied, duplicate, stale, conflict, quarantined, version_gaps, misrouted
FROM ops.lanes
ORDER BY lane

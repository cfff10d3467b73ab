-- since: when the link before a lane's first asked one ended: what was recorded later is covered by those that follow.
SELECT max(last_recorded_at) FROM event_store.chain_links WHERE lane = $1 AND seq < $2

-- windows: the last instant of each run of links, of all asked lanes, that cover so many events and corrections.
SELECT max(last_recorded_at) AS until
FROM (SELECT last_recorded_at,
             sum(events + corrections) OVER (ORDER BY last_recorded_at ROWS UNBOUNDED PRECEDING) / $3::bigint AS run
      FROM event_store.chain_links
      WHERE ($1::smallint IS NULL OR lane = $1) AND seq >= $2) AS links
GROUP BY run
ORDER BY until

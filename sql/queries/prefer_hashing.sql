-- prefer_hashing: for the rest of the transaction, sets are read from end to end and put together by hashing where that can be done.
-- The planner guesses how many organisations there are in sets whose rows it has no figures of, and would sort them.
SELECT set_config('enable_mergejoin', $1, true), set_config('enable_nestloop', $1, true), set_config('enable_sort', $1, true)

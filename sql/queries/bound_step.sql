-- bound_step: how long a step of maintenance may wait for a lock, and how long it may hold one.
SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true)

-- bound_lock_waits: how long each wait for a lock may last from now on, in this session.
SELECT set_config('lock_timeout', $1, false)

-- grow_lanes: the lanes below $1 are those of a grown stream; the locks of all that there were are held.
-- Homes move: what an organisation has recorded under one lane's lock must stay before what it records under another's.
UPDATE ops.lanes
SET owner_epoch         = owner_epoch + 1,
    owner               = NULL,
    last_recorded_at    = $2,
    properties_revision = $3,
    updated_at          = now()
WHERE lane < $1

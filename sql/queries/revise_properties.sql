-- revise_properties: let the writers of these lanes forget the properties that they remember.
-- What they record from here on is recorded later than the load: its instant takes its place in their order.
UPDATE ops.lanes
SET properties_revision = properties_revision + 1,
    last_recorded_at    = greatest(last_recorded_at, $2)
WHERE lane = ANY ($1::smallint[])

-- revise_properties: let the writers of these lanes forget the properties that they remember.
UPDATE ops.lanes
SET properties_revision = properties_revision + 1
WHERE lane = ANY ($1::smallint[])

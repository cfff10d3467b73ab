-- orgs_of_slice: every organisation of slice $2 of $1. Whatever is booked has a property.
SELECT DISTINCT org_id
FROM finance.properties
WHERE satisfies_hash_partition('event_store.snapshots'::regclass, $1, $2, org_id)
ORDER BY org_id

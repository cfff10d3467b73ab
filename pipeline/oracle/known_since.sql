-- known_since: from when on batches knew a property, where that is noted.
SELECT org_id, property_id, known_since
FROM finance.properties
WHERE known_since IS NOT NULL

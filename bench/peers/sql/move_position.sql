-- How far a partition was read.
INSERT INTO positions
VALUES ($1, $2)
ON CONFLICT (partition) DO UPDATE SET position = excluded.position

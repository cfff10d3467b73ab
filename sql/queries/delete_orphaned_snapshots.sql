-- delete_orphaned_snapshots: snapshots that no event stands behind; counts them. A writer may delete no others.
SELECT ops.delete_orphaned_snapshots($1, $2, $3)

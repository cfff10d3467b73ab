-- orgs_of_slice: every organisation of slice $2 of $1 that has anything at all: a lost property hides nobody.
SELECT org_id FROM ops.checked_snapshots($1, $2, NULL)
UNION
SELECT org_id FROM ops.checked_balances($1, $2, NULL)
UNION
SELECT org_id FROM ops.checked_events($1, $2, NULL)
UNION
SELECT org_id FROM ops.checked_revenues($1, $2, NULL)
UNION
SELECT org_id FROM ops.checked_expenses($1, $2, NULL)
ORDER BY org_id

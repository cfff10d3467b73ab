-- reader_role: a role of ours that sees every organisation, if the one we connected as may take it.
SELECT rolname
FROM pg_roles
WHERE rolname IN ('folio_operator', 'folio_writer') AND pg_has_role(rolname, 'SET')
ORDER BY rolname
LIMIT 1

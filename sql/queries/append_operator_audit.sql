-- append_operator_audit: who changed something by which command, and what came of it.
INSERT INTO ops.operator_audit (who, command, detail) VALUES ($1, $2, $3)

-- The operators' audit can only be appended to, and nobody signs it as another login or at another time
-- depends: 0016_newest_neighbours

-- migrate: apply

-- `who` is what the command says, `login` what the database knows. Rows from before have none.
ALTER TABLE ops.operator_audit ADD COLUMN login text;
ALTER TABLE ops.operator_audit ALTER COLUMN login SET DEFAULT session_user;

-- Commands that change something are operators'; a worker signs nothing.
REVOKE INSERT ON ops.operator_audit FROM folio_writer, folio_operator;
GRANT INSERT (who, command, detail) ON ops.operator_audit TO folio_operator;

-- Not granted to anybody, and refused even to the owner, who may still say what he does by dropping the trigger.
CREATE FUNCTION ops.refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ops.operator_audit
    FOR EACH STATEMENT EXECUTE FUNCTION ops.refuse_rewriting();

-- migrate: rollback

DROP TRIGGER append_only ON ops.operator_audit;
DROP FUNCTION ops.refuse_rewriting;
REVOKE INSERT (who, command, detail) ON ops.operator_audit FROM folio_operator;
GRANT INSERT ON ops.operator_audit TO folio_writer, folio_operator;
ALTER TABLE ops.operator_audit DROP COLUMN login;

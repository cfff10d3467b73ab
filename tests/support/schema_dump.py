"""What a database is made of, read from its catalogs: two schemas are the same when their dumps are."""

import asyncpg

SCHEMAS = ["finance", "event_store", "read_models", "ops"]

# A privilege that was granted and revoked leaves the default spelled out: compare what the lists mean.
_GRANTS = (
    "(SELECT array_agg(g::text ORDER BY g::text)::text "
    "FROM aclexplode(coalesce({acl}, acldefault({kind}, {owner}))) AS g)"
)

_PARTS = {
    "schemas": f"""
        SELECT nspname, {_GRANTS.format(acl="nspacl", kind="'n'", owner="nspowner")},
               obj_description(oid, 'pg_namespace')
        FROM pg_namespace WHERE nspname = ANY ($1)""",
    "relations": f"""
        SELECT c.oid::regclass::text, c.relkind::text, c.reloptions::text, c.relrowsecurity, c.relforcerowsecurity,
               pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid),
               {_GRANTS.format(acl="c.relacl", kind="'r'", owner="c.relowner")},
               obj_description(c.oid, 'pg_class')
        FROM pg_class AS c WHERE c.relnamespace::regnamespace::text = ANY ($1)""",
    "columns": """
        SELECT a.attrelid::regclass::text, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               a.attstorage::text, a.attidentity::text, pg_get_expr(d.adbin, d.adrelid),
               col_description(a.attrelid, a.attnum)
        FROM pg_attribute AS a
        JOIN pg_class AS c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace::regnamespace::text = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, contype::text, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace::regnamespace::text = ANY ($1)""",
    "indexes": """
        SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid), i.indisvalid
        FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE c.relnamespace::regnamespace::text = ANY ($1)""",
    "policies": """
        SELECT schemaname, tablename, policyname, permissive, roles::text, cmd, qual, with_check
        FROM pg_policies WHERE schemaname = ANY ($1)""",
    "functions": f"""
        SELECT oid::regprocedure::text, pg_get_functiondef(oid),
               {_GRANTS.format(acl="proacl", kind="'f'", owner="proowner")}, obj_description(oid, 'pg_proc')
        FROM pg_proc WHERE pronamespace::regnamespace::text = ANY ($1)""",
    "triggers": """
        SELECT t.tgrelid::regclass::text, pg_get_triggerdef(t.oid)
        FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
        WHERE NOT t.tgisinternal AND c.relnamespace::regnamespace::text = ANY ($1)""",
    "roles": """
        SELECT rolname, rolcanlogin, rolsuper, rolbypassrls FROM pg_roles
        WHERE rolname LIKE 'folio\\_%' AND cardinality($1::text[]) > 0""",
}


async def schema_dump(connection: asyncpg.Connection) -> set[tuple[object, ...]]:
    """Every fact about our schemas, each with the part it belongs to."""
    return {(part, *row) for part, statement in _PARTS.items() for row in await connection.fetch(statement, SCHEMAS)}

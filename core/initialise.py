"""What only a superuser can do, once: roles, passwords, the database, the extension, schemas, revokes and guards.

Everything here may be repeated: it brings roles and databases to the wanted state and leaves data alone.
"""

from __future__ import annotations

from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.sql import Identifier, Literal

from core.database import role_name
from core.roles import FROZEN_SCHEMAS, GUARDED_SCHEMAS, LOGIN_ROLES, MAINTENANCE_SETTING, OWNER_ROLES, SCHEMAS

# Any number: it keeps two `init_database` from changing the same catalogue rows at once. Anybody may take it too, so the wait for
# it ends after a while, with an error instead of for ever.
_LOCK = 4_721_001
_PATIENCE = "60s"

# Functions of PostgreSQL that everybody may call and that nobody here needs: they write into the cluster without any privilege.
_NOT_FOR_EVERYBODY: tuple[LiteralString, ...] = (
    "pg_logical_emit_message(boolean, text, text, boolean)",
    "pg_logical_emit_message(boolean, text, bytea, boolean)",
    "lo_creat(integer)",
    "lo_create(oid)",
    "lo_from_bytea(oid, bytea)",
    "lo_open(oid, integer)",
    "lo_put(oid, bigint, bytea)",
    "lowrite(integer, bytea)",
)

GUARD_FUNCTIONS = """
CREATE SCHEMA IF NOT EXISTS guard;
REVOKE ALL ON SCHEMA guard FROM PUBLIC;

CREATE OR REPLACE FUNCTION guard.refuse_drop() RETURNS event_trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    dropped record;
BEGIN
    IF current_setting('{setting}', true) IS NOT DISTINCT FROM 'on' THEN
        RETURN;
    END IF;
    FOR dropped IN SELECT * FROM pg_event_trigger_dropped_objects() LOOP
        IF NOT dropped.is_temporary AND (dropped.schema_name = ANY ({guarded})
                OR (dropped.object_type = 'schema' AND dropped.object_name = ANY ({guarded}))) THEN
            RAISE EXCEPTION 'refusing to drop % %', dropped.object_type, dropped.object_identity
                USING HINT = 'Evidence lives there. A migration that means it sets {setting} to on in its transaction.';
        END IF;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION guard.refuse_alter() RETURNS event_trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    altered record;
BEGIN
    IF current_setting('{setting}', true) IS NOT DISTINCT FROM 'on' THEN
        RETURN;
    END IF;
    FOR altered IN SELECT * FROM pg_event_trigger_ddl_commands() LOOP
        -- Triggers, rules and policies have no schema of their own: their address begins with that of their table.
        -- A table that was just moved out of such a schema still belongs to the schema's owner.
        IF altered.schema_name = ANY ({frozen}) OR (altered.classid = 'pg_catalog.pg_class'::regclass
            AND altered.schema_name IS DISTINCT FROM 'pg_temp' AND EXISTS (
                SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.nspowner = c.relowner
                WHERE c.oid = altered.objid AND n.nspname = ANY ({frozen}))) OR (altered.schema_name IS NULL AND altered.classid IN (
                'pg_catalog.pg_trigger'::regclass, 'pg_catalog.pg_rewrite'::regclass, 'pg_catalog.pg_policy'::regclass)
            AND (SELECT a.object_names[1] FROM pg_identify_object_as_address(altered.classid, altered.objid, altered.objsubid) a)
                = ANY ({frozen})) THEN
            RAISE EXCEPTION 'refusing to alter % %', altered.object_type, altered.object_identity
                USING HINT = 'Evidence lives there. A migration that means it sets {setting} to on in its transaction.';
        END IF;
    END LOOP;
END $$;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA guard FROM PUBLIC;
"""

EVENT_TRIGGERS: dict[str, LiteralString] = {
    "glasscase_refuse_drop": "ON sql_drop EXECUTE FUNCTION guard.refuse_drop()",
    # What could take the guard off a table, or put another function in the place of one that guards.
    "glasscase_refuse_alter": "ON ddl_command_end WHEN TAG IN ('ALTER TABLE', 'CREATE TRIGGER', 'ALTER TRIGGER', 'CREATE RULE',"
    " 'ALTER RULE', 'CREATE POLICY', 'ALTER POLICY', 'CREATE FUNCTION', 'ALTER FUNCTION') EXECUTE FUNCTION guard.refuse_alter()",
}


def _role(short: str) -> Identifier:
    return Identifier(role_name(short))


def prepare_roles(connection: psycopg.Connection, passwords: dict[str, str]) -> None:
    """Make or repair the roles of the cluster.

    `passwords` maps each login role to its password: hashed here (SCRAM), so that the clear text reaches neither the
    server nor its log.
    """
    with connection.transaction():
        _one_at_a_time(connection)
        connection.execute("SET LOCAL log_statement = 'none'")  # not even the hash belongs in a log
        existing = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles").fetchall()}
        plain = sql.SQL("NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS")
        for short in (*OWNER_ROLES, *LOGIN_ROLES):
            if role_name(short) not in existing:
                connection.execute(sql.SQL("CREATE ROLE {}").format(_role(short)))
            login = sql.SQL("LOGIN" if short in LOGIN_ROLES else "NOLOGIN PASSWORD NULL")
            connection.execute(sql.SQL("ALTER ROLE {} {} {}").format(_role(short), login, plain))
            # A role may set what it likes for its own later sessions; nothing of the product is set that way.
            connection.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(_role(short)))
        for short, password in passwords.items():
            name = role_name(short)
            hashed = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(_role(short), Literal(hashed)))
        _prepare_memberships(connection)


def _prepare_memberships(connection: psycopg.Connection) -> None:
    """The migrate role may become each owner (SET, not INHERIT); no other role of ours is a member of anything."""
    ours = [role_name(short) for short in (*OWNER_ROLES, *LOGIN_ROLES)]
    members = connection.execute(
        "SELECT m.roleid::regrole::text, m.member::regrole::text FROM pg_auth_members m "
        "JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = ANY (%s)",
        (ours,),
    ).fetchall()
    wanted = {(role_name(owner), role_name("migrate")) for owner in OWNER_ROLES}
    for group, member in members:
        if (group, member) not in wanted:
            connection.execute(sql.SQL("REVOKE {} FROM {}").format(Identifier(group), Identifier(member)))
    for owner in OWNER_ROLES:
        connection.execute(
            sql.SQL("GRANT {} TO {} WITH ADMIN FALSE, INHERIT FALSE, SET TRUE").format(_role(owner), _role("migrate"))
        )


def _one_at_a_time(connection: psycopg.Connection) -> None:
    connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(Literal(_PATIENCE)))
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))


def make_database(connection: psycopg.Connection, name: str) -> bool:
    """Make the database `name` unless it exists; True when it was made."""
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
        return False
    try:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(Identifier(name)))
    except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
        return False
    return True


def restrict_database(connection: psycopg.Connection, name: str) -> None:
    """Leave on the database `name` no privilege but CONNECT for our login roles.

    Privileges on a database are not copied from its template: a clone needs this again.
    """
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(Identifier(name)))
    logins = sql.SQL(", ").join(_role(short) for short in LOGIN_ROLES)
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(Identifier(name), logins))


def close_other_databases(connection: psycopg.Connection) -> None:
    """Keep our roles out of the databases every cluster has. Only for a cluster that is ours alone."""
    for name in ("postgres", "template1"):
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(Identifier(name)))


def prepare_database(connection: psycopg.Connection) -> None:
    """Bring the connected database to the wanted state: extension, schemas with owners, revokes, event triggers."""
    with connection.transaction():
        _one_at_a_time(connection)
        connection.execute(sql.SQL("SET LOCAL {} = 'on'").format(sql.SQL(MAINTENANCE_SETTING)))
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public")
        for schema, owner in SCHEMAS.items():
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(schema)))
            connection.execute(sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(Identifier(schema), _role(owner)))
            connection.execute(sql.SQL("REVOKE ALL ON SCHEMA {} FROM PUBLIC").format(Identifier(schema)))
        # Types and operators of the extension live in `public`, so every role of ours may look there.
        everybody = sql.SQL(", ").join(_role(short) for short in (*LOGIN_ROLES, *OWNER_ROLES))
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(everybody))
        for short in (*OWNER_ROLES, *LOGIN_ROLES):
            connection.execute(
                sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC").format(
                    _role(short)
                )
            )
            connection.execute(
                sql.SQL("ALTER ROLE {} IN DATABASE {} RESET ALL").format(
                    _role(short), Identifier(connection.info.dbname)
                )
            )
        for function in _NOT_FOR_EVERYBODY:
            connection.execute(
                sql.SQL("REVOKE EXECUTE ON FUNCTION pg_catalog.{} FROM PUBLIC").format(sql.SQL(function))
            )
        _prepare_guards(connection)


def _prepare_guards(connection: psycopg.Connection) -> None:
    """Event triggers against mistakes. A superuser can switch them off: against that only the signed log helps."""
    connection.execute(
        sql.SQL(GUARD_FUNCTIONS).format(
            setting=sql.SQL(MAINTENANCE_SETTING),
            guarded=sql.Literal(list(GUARDED_SCHEMAS)),
            frozen=sql.Literal(list(FROZEN_SCHEMAS)),
        )
    )
    for name, definition in EVENT_TRIGGERS.items():
        connection.execute(sql.SQL("DROP EVENT TRIGGER IF EXISTS {}").format(Identifier(name)))
        connection.execute(sql.SQL("CREATE EVENT TRIGGER {} {}").format(Identifier(name), sql.SQL(definition)))
        connection.execute(sql.SQL("ALTER EVENT TRIGGER {} ENABLE ALWAYS").format(Identifier(name)))

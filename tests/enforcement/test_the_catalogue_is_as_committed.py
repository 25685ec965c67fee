"""Every privilege, owner, function setting and default ACL in our schemas, compared with a committed list.

Each mistake that once gave everything away (a GRANT ALL, a search_path with pg_temp not last, a function executable by
PUBLIC, an owner that can log in) changes a line of that list. To accept a wanted change: run this file as a program.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

COMMITTED = Path(__file__).with_name("catalogue.txt")
SCHEMAS = ["broker", "evaluation", "gallery", "gate", "guard", "log", "logwork", "public", "vault"]

QUERIES = {
    "role": """
        SELECT rolname, concat_ws(' ', CASE WHEN rolcanlogin THEN 'login' ELSE 'nologin' END,
            CASE WHEN rolsuper THEN 'SUPERUSER' END, CASE WHEN rolcreaterole THEN 'CREATEROLE' END,
            CASE WHEN rolcreatedb THEN 'CREATEDB' END, CASE WHEN rolreplication THEN 'REPLICATION' END,
            CASE WHEN rolbypassrls THEN 'BYPASSRLS' END)
        FROM pg_roles WHERE rolname LIKE %(prefix)s""",
    "member": """
        SELECT m.rolname || ' in ' || g.rolname,
            concat_ws(' ', CASE WHEN a.inherit_option THEN 'INHERIT' END, CASE WHEN a.set_option THEN 'SET' END,
                CASE WHEN a.admin_option THEN 'ADMIN' END)
        FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member JOIN pg_roles g ON g.oid = a.roleid
        WHERE m.rolname LIKE %(prefix)s""",
    "schema": """
        SELECT n.nspname || ' of ' || pg_get_userbyid(n.nspowner), coalesce(n.nspacl::text, 'default')
        FROM pg_namespace n WHERE n.nspname = ANY (%(schemas)s)""",
    "relation": """
        SELECT n.nspname || '.' || c.relname || ' of ' || pg_get_userbyid(c.relowner),
            coalesce((SELECT string_agg(x, ' ' ORDER BY x) FROM unnest(c.relacl::text[]) x), 'default')
            || coalesce((SELECT ' columns ' || string_agg(a.attname || ':' || a.attacl::text, ' ' ORDER BY a.attname)
                FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL), '')
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = ANY (%(schemas)s) AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')""",
    "function": """
        SELECT n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ') of '
                || pg_get_userbyid(p.proowner),
            concat_ws(' ', CASE WHEN p.prosecdef THEN 'DEFINER' ELSE 'invoker' END, array_to_string(p.proconfig, '; '),
                coalesce((SELECT string_agg(x, ' ' ORDER BY x) FROM unnest(p.proacl::text[]) x), 'default'))
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = ANY (%(schemas)s)
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')""",
    "trigger": """
        SELECT n.nspname || '.' || c.relname || ' ' || t.tgname, t.tgenabled::text
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE NOT t.tgisinternal AND n.nspname = ANY (%(schemas)s)""",
    "event trigger": "SELECT evtname, evtenabled::text FROM pg_event_trigger",
    "default privileges": """
        SELECT pg_get_userbyid(d.defaclrole) || ' ' || coalesce(n.nspname, 'everywhere') || ' ' || d.defaclobjtype::text,
            d.defaclacl::text
        FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace""",
    "foreign key": """
        SELECT x.conrelid::regclass::text || ' -> ' || x.confrelid::regclass::text, x.conname::text
        FROM pg_constraint x JOIN pg_class c ON c.oid = x.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_class f ON f.oid = x.confrelid JOIN pg_namespace m ON m.oid = f.relnamespace
        WHERE x.contype = 'f' AND n.nspname <> m.nspname AND 'public' IN (n.nspname, m.nspname)""",
    "index on templates": """
        SELECT i.indrelid::regclass::text || ' ' || i.indexrelid::regclass::text, m.amname::text
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
        JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
        WHERE n.nspname = 'gallery'""",
    "role setting": """
        SELECT coalesce(r.rolname, 'all') || ' in ' || coalesce(d.datname, 'all'), array_to_string(s.setconfig, '; ')
        FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase""",
    "extension": "SELECT extname::text, '' FROM pg_extension",
    "database": "SELECT 'acl', array_to_string(datacl, ' ') FROM pg_database WHERE datname = current_database()",
}


def catalogue(superuser: psycopg.Connection, prefix: str) -> list[str]:
    """The catalogue as sorted lines, with role names without their prefix."""
    lines: list[str] = []
    for kind, query in QUERIES.items():
        values: dict[str, Any] = {"prefix": prefix.replace("_", r"\_") + "%", "schemas": SCHEMAS}
        rows = superuser.execute(query, values if "%(" in query else None).fetchall()
        lines += sorted(f"{kind}: {name} | {text}".replace(prefix, "") for name, text in rows)
    return lines


def test_the_catalogue_is_as_committed(as_superuser: psycopg.Connection, settings: Any) -> None:
    found = catalogue(as_superuser, settings.GLASSCASE_ROLE_PREFIX)
    expected = COMMITTED.read_text(encoding="utf-8").splitlines()
    assert [line for line in found if line not in expected] == [], "not committed"
    assert [line for line in expected if line not in found] == [], "committed but gone"


def test_no_line_of_the_catalogue_breaks_a_rule_of_the_house(as_superuser: psycopg.Connection, settings: Any) -> None:
    """The committed list could be wrong itself: these rules hold for whatever stands in it."""
    lines = catalogue(as_superuser, settings.GLASSCASE_ROLE_PREFIX)
    for line in lines:
        kind, _, rest = line.partition(": ")
        if kind == "role":
            assert not any(word in rest for word in ("SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS"))
            assert rest.split(" | ")[0].endswith("_owner") == rest.endswith("nologin")
        if kind == "member":
            assert rest.startswith("migrate in ")
            assert rest.endswith("| SET")
        if kind == "function" and "DEFINER" in rest:
            assert "search_path=pg_catalog, pg_temp" in rest
            for pin in (
                "debug_print_plan=off",
                "client_min_messages=warning",
                "TimeZone=UTC",
                "transform_null_equals=off",
            ):
                assert "guard." in rest or pin in rest, f"{pin} is not pinned: {line}"
            assert "_owner" in rest.split(" | ")[0], "a definer function belongs to an owner that cannot log in"
        if kind == "function":
            acl = rest.split(" | ")[1]
            assert "default" not in acl.split(), f"executable by everybody: {line}"
            assert " =" not in acl, f"executable by everybody: {line}"
        if kind == "relation":
            acl = rest.split(" | ")[1]
            for grant in acl.split():
                if grant.startswith("app=") or ":app=" in grant:
                    letters = grant.split("=")[1].split("/")[0]
                    assert not set(letters) & set("Dxtm"), f"TRUNCATE, REFERENCES, TRIGGER or MAINTAIN: {line}"
            schema = rest.split(".")[0]
            if schema in ("gallery", "gate", "vault"):
                assert "app=r" not in acl
                assert "reader=" not in acl
    assert not any(line.startswith("foreign key") for line in lines)
    assert all(line.endswith("| btree") for line in lines if line.startswith("index on templates"))


@pytest.mark.parametrize(
    "mistake",
    [
        "GRANT ALL ON public.core_user TO {app}",
        "GRANT SELECT ON gallery.template TO {app}",
        "GRANT EXECUTE ON FUNCTION gallery.scan(integer, integer[], integer, public.halfvec, integer, integer, bigint) TO {app}",
        "GRANT EXECUTE ON FUNCTION log.append_as_gate(text, jsonb) TO PUBLIC",
        "ALTER FUNCTION gate.execute(uuid, bytea) SET search_path = gate, public",
        "ALTER FUNCTION gate.execute(uuid, bytea) RESET search_path",
        "ALTER ROLE {gate_owner} LOGIN",
        "GRANT {gallery_owner} TO {app}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {gallery_owner} GRANT SELECT ON TABLES TO {app}",
        "GRANT CREATE ON SCHEMA public TO {app}",
        "ALTER TABLE public.core_user OWNER TO {app}",
        "ALTER EVENT TRIGGER glasscase_refuse_drop DISABLE",
        "CREATE INDEX ON gallery.template (person)",
    ],
)
def test_a_mistake_shows_in_the_catalogue(as_superuser: psycopg.Connection, settings: Any, mistake: str) -> None:
    prefix = settings.GLASSCASE_ROLE_PREFIX
    before = catalogue(as_superuser, prefix)
    names = {name: prefix + name for name in ("app", "gate_owner", "gallery_owner")}
    with as_superuser.transaction(force_rollback=True):
        as_superuser.execute("SET LOCAL glasscase.maintenance = 'on'")
        as_superuser.execute(mistake.format(**names))
        assert catalogue(as_superuser, prefix) != before
    assert catalogue(as_superuser, prefix) == before

"""Roles, passwords, owners and privileges as `init_database` and `migrate` leave them, and Django's connection."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, connections

from core import database as product
from core import grants, initialise
from core.environment import SettingError
from core.models import User
from core.roles import LOGIN_ROLES, MAINTENANCE_SETTING, OWNER_ROLES, SCHEMAS


def test_django_is_the_app_role_on_a_clone(database):
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, current_database()")
        assert cursor.fetchone() == ("glasscase_app", database.name)


def test_a_row_committed_in_one_test(database, as_role):
    User.objects.create_user("nadia")
    assert as_role("app").execute("SELECT count(*) FROM core_user WHERE username = 'nadia'").fetchone() == (1,)


def test_is_not_there_in_the_next(database):
    assert not User.objects.filter(username="nadia").exists()


def test_a_process_of_its_own_sees_the_clone(database):
    User.objects.create_user("nadia")
    code = "import django; django.setup(); from core.models import User; print(User.objects.filter(username='nadia').count())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=database.environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"


def test_every_login_role_has_a_password_that_works(as_role):
    for role in LOGIN_ROLES:
        assert as_role(role).execute("SELECT session_user").fetchone() == (f"glasscase_{role}",)


@pytest.mark.parametrize("password", [None, "", "wrong"])
def test_the_app_role_without_its_password_is_refused(database, password):
    wrong = {**product.parameters("app"), "password": password}
    with pytest.raises(psycopg.OperationalError, match=r"no password supplied|password authentication failed"):
        psycopg.connect(**wrong)


@pytest.mark.parametrize("role", OWNER_ROLES)
def test_an_owner_cannot_log_in(database, role):
    with pytest.raises(psycopg.OperationalError, match=r"not permitted to log in|password authentication failed"):
        psycopg.connect(**{**product.parameters("app"), "user": product.role_name(role)})


def test_passwords_are_kept_as_scram_hashes_and_no_log_holds_them(as_superuser, database):
    hashes = as_superuser.execute(
        "SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE 'glasscase%'"
    ).fetchall()
    assert len(hashes) == len(LOGIN_ROLES) + len(OWNER_ROLES)
    for name, kept in hashes:
        if name.removeprefix("glasscase_") in OWNER_ROLES:
            assert kept is None
        else:
            assert kept.startswith("SCRAM-SHA-256$1:")  # the tests' own server; see test_embedded for others
    logs = "".join(file.read_text() for file in (database.home / "pg" / "log").iterdir())
    assert "CREATE DATABASE" in logs
    assert "SCRAM-SHA-256" not in logs
    for role in LOGIN_ROLES:
        assert product.password(role) not in logs


def test_no_role_of_ours_has_powers(as_superuser):
    rows = as_superuser.execute(
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'glasscase%' AND "
        "(rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls OR rolinherit)"
    ).fetchall()
    assert rows == []


def test_only_the_migrate_role_may_become_an_owner_and_inherits_nothing(as_superuser):
    rows = as_superuser.execute(
        "SELECT m.roleid::regrole::text, m.member::regrole::text, m.admin_option, m.inherit_option, m.set_option "
        "FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid WHERE r.rolname LIKE 'glasscase%'"
    ).fetchall()
    assert sorted(rows) == sorted((product.role_name(o), "glasscase_migrate", False, False, True) for o in OWNER_ROLES)


@pytest.mark.parametrize("role", [role for role in LOGIN_ROLES if role != "migrate"])
def test_no_process_may_become_another_role(as_role, role):
    connected = as_role(role)
    for other in (*OWNER_ROLES, "migrate", "app", "sequencer"):
        if other != role:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connected.execute(f"SET ROLE {product.role_name(other)}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connected.execute("SET SESSION AUTHORIZATION postgres")


@pytest.mark.parametrize("role", LOGIN_ROLES)
def test_no_process_may_make_tables_schemas_or_temporary_things(as_role, role):
    connected = as_role(role)
    statements = [
        "CREATE TEMP TABLE t (x int)",
        "CREATE SCHEMA s",
        "CREATE DATABASE d",
        "CREATE ROLE r",
        "CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION guard.refuse_drop()",
    ]
    if role != "migrate":
        statements += [f"CREATE TABLE {schema}.t (x int)" for schema in SCHEMAS]
    for statement in statements:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connected.execute(statement)


@pytest.mark.parametrize("name", ["postgres", "template1"])
def test_our_roles_are_kept_out_of_other_databases(database, name):
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        product.connect("app", dbname=name)


def test_schemas_have_their_owners_and_public_may_do_nothing_there(as_superuser):
    rows = as_superuser.execute("SELECT nspname, nspowner::regrole::text, nspacl::text FROM pg_namespace").fetchall()
    found = {name: (owner, acl or "") for name, owner, acl in rows}
    for schema, owner in SCHEMAS.items():
        assert found[schema][0] == product.role_name(owner)
        assert not any(item.startswith("=") for item in found[schema][1].strip("{}").split(","))


def test_new_functions_of_an_owner_are_closed_to_everybody(as_role):
    migrate = as_role("migrate", autocommit=False)
    migrate.execute(f"SET LOCAL {MAINTENANCE_SETTING} = 'on'")
    for owner, schema in {owner: schema for schema, owner in SCHEMAS.items()}.items():
        if owner != "migrate":
            migrate.execute(f"SET LOCAL ROLE {product.role_name(owner)}")
        migrate.execute(f"CREATE FUNCTION {schema}.probe() RETURNS int LANGUAGE sql RETURN 1")
        row = migrate.execute(
            f"SELECT has_function_privilege('glasscase_app', '{schema}.probe()', 'EXECUTE')"
        ).fetchone()
        assert row == (False,), schema
        migrate.execute("RESET ROLE")
    migrate.rollback()


def test_dropping_evidence_by_mistake_is_refused_and_meaning_it_is_possible(as_superuser):
    for statement in (
        "DROP TABLE log.entry CASCADE",
        "DROP SCHEMA gate CASCADE",
        "ALTER TABLE log.leaf DISABLE TRIGGER ALL",
    ):
        with pytest.raises(psycopg.errors.RaiseException, match="refusing to"):
            as_superuser.execute(statement)
    as_superuser.execute("SET session_replication_role = replica")
    with pytest.raises(psycopg.errors.RaiseException, match="refusing to drop"):
        as_superuser.execute("DROP TABLE log.entry CASCADE")
    with as_superuser.transaction(force_rollback=True):
        as_superuser.execute("SET LOCAL glasscase.maintenance = 'on'")
        as_superuser.execute("DROP TABLE log.entry CASCADE")


def test_ordinary_tables_may_still_be_dropped(as_role):
    migrate = as_role("migrate")
    migrate.execute("CREATE TABLE public.scratch (x int)")
    migrate.execute("DROP TABLE public.scratch")


def test_every_table_of_django_has_listed_privileges_and_no_listed_table_is_missing(database):
    assert sorted(grants.django_tables()) == sorted(grants.APP_TABLES)


def test_the_app_role_has_exactly_the_listed_privileges(database, as_superuser):
    rows = as_superuser.execute(
        "SELECT table_name, privilege_type FROM information_schema.role_table_grants "
        "WHERE grantee = 'glasscase_app' AND table_schema = 'public'"
    ).fetchall()
    held: dict[str, set[str]] = {}
    for table, privilege in rows:
        held.setdefault(table, set()).add(privilege)
    # What is granted on single columns: a privilege on the whole table stands for each of its columns as well.
    columns = as_superuser.execute(
        "SELECT table_name, privilege_type, column_name FROM information_schema.role_column_grants "
        "WHERE grantee = 'glasscase_app' AND table_schema = 'public'"
    ).fetchall()
    whole = {table: set(privileges) for table, privileges in held.items()}
    for table, privilege, column in columns:
        if privilege not in whole.get(table, ()):
            held.setdefault(table, set()).add(f"{privilege} ({column})")
    assert held == {table: set(words) for table, words in grants.APP_TABLES.items() if words}
    assert {word.split()[0] for words in held.values() for word in words} <= {"SELECT", "INSERT", "UPDATE", "DELETE"}


def test_preparing_again_changes_nothing_and_repairs_what_was_changed(as_superuser, database):
    as_superuser.execute("GRANT glasscase_log_owner TO glasscase_app")
    as_superuser.execute(f"GRANT TEMP ON DATABASE {database.name} TO PUBLIC")
    as_superuser.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    before = {role: product.password(role) for role in LOGIN_ROLES}
    call_command("init_database", verbosity=0)
    assert {role: product.password(role) for role in LOGIN_ROLES} == before
    with product.connect("app") as app:
        for statement in (
            "SET ROLE glasscase_log_owner",
            "CREATE TEMP TABLE t (x int)",
            "CREATE TABLE public.t (x int)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(statement)


def test_the_migrate_command_is_the_migrate_role_only_inside(database):
    call_command("migrate", verbosity=0, interactive=False)
    assert connections.settings["default"]["USER"] == "glasscase_app"
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == ("glasscase_app",)


def test_django_sends_values_beside_the_statement(database):
    secret = f"a justification {uuid.uuid4()}"
    with connection.cursor() as cursor:
        cursor.execute("SELECT query, %s FROM pg_stat_activity WHERE pid = pg_backend_pid()", [secret])
        seen, given = cursor.fetchone()
    assert given == secret
    assert secret not in seen


def test_sql_placeholders_become_quoted_prefixed_names(settings):
    settings.GLASSCASE_ROLE_PREFIX = 'odd"_'
    assert (
        product.render_sql("GRANT SELECT ON x TO @app@, @gate_owner@;")
        == 'GRANT SELECT ON x TO "odd""_app", "odd""_gate_owner";'
    )


def test_an_unknown_role_is_refused():
    for call in (product.role_name, lambda name: product.render_sql(f"@{name}@")):
        with pytest.raises(ValueError, match="There is no role 'apps'"):
            call("apps")


def test_a_real_server_without_a_password_names_the_setting(settings):
    settings.GLASSCASE_DB_HOST = "db.example"
    with pytest.raises(SettingError, match="set GLASSCASE_DB_PASSWORD_SIGNER or GLASSCASE_DB_PASSWORD_SIGNER_FILE"):
        product.password("signer")


def test_a_process_on_a_real_server_knows_its_own_password_only(settings, monkeypatch, tmp_path):
    settings.GLASSCASE_DB_HOST = "db.example"
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    monkeypatch.setenv("GLASSCASE_DB_PASSWORD_FILE", str(file))
    assert product.password("app") == "s3cret"
    assert product.parameters("app", "x") == {
        "host": "db.example", "port": 5432, "dbname": "x", "user": "glasscase_app", "password": "s3cret",
        "options": product.SESSION_OPTIONS,
    }  # fmt: skip
    with pytest.raises(SettingError):
        product.password("sequencer")


def test_without_roles_the_sentence_says_what_to_run(settings, tmp_path):
    settings.GLASSCASE_HOME = tmp_path
    with pytest.raises(SettingError, match=r"Run `manage.py init_database`, then `manage.py migrate`"):
        product.password("app")


def test_the_connection_string_is_printed_for_app_and_reader_and_nobody_else(database, capsys):
    for role in ("app", "reader"):
        call_command("dsn", role=role)
        with psycopg.connect(capsys.readouterr().out.strip()) as connected:
            assert connected.execute("SELECT session_user, current_database()").fetchone() == (
                f"glasscase_{role}",
                database.name,
            )
    done = subprocess.run(
        [sys.executable, "manage.py", "dsn", "--role", "migrate"],
        env=database.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "password" not in done.stdout


def test_the_doctor_finds_a_sound_installation_sound_apart_from_its_speed(database, capsys):
    with pytest.raises(SystemExit):
        call_command("doctor", quiet=True)
    told = capsys.readouterr().out.splitlines()
    # The tests' server gives up safety against a crash of the machine, and the doctor sees it.
    assert [line.split()[1] for line in told if line.startswith("LOOK")] == ["fsync"]


def test_a_clone_has_no_privileges_left_for_everybody(database, as_superuser):
    row = as_superuser.execute("SELECT datacl::text FROM pg_database WHERE datname = current_database()").fetchone()
    assert not any(item.startswith("=") for item in row[0].strip("{}").split(","))
    assert set(initialise.EVENT_TRIGGERS) == {
        name
        for (name,) in as_superuser.execute("SELECT evtname FROM pg_event_trigger WHERE evtenabled = 'A'").fetchall()
    }


def test_the_tests_never_touch_the_installation_beside_them(database):
    assert "GLASSCASE_DB_HOST" not in os.environ
    assert product.is_embedded()
    assert database.home.is_relative_to(os.environ["GLASSCASE_TEST_HOME"])

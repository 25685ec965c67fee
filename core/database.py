"""Connections to PostgreSQL as one of the product's roles, and the SQL files that migrations run.

Without GLASSCASE_DB_HOST the embedded server is used: it is started when a connection is asked for, and the roles'
passwords are files below GLASSCASE_HOME/secrets. With GLASSCASE_DB_HOST a process knows the passwords it was given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.apps import apps
from django.conf import settings
from django.db import connection as django_connection
from django.db import connections
from django.db.migrations.operations.base import Operation
from psycopg import sql
from psycopg.conninfo import make_conninfo

from core import state
from core.embedded import Server
from core.environment import SettingError, secret
from core.roles import LOGIN_ROLES, MAINTENANCE_SETTING, OWNER_ROLES

_PLACEHOLDER = re.compile(r"@([a-z_]+)@")


def is_embedded() -> bool:
    """Tell whether the database is the embedded one."""
    return not settings.GLASSCASE_DB_HOST


def server() -> Server:
    """Return the embedded server of this installation (started or not)."""
    return Server(Path(settings.GLASSCASE_HOME), buffers_mb=settings.GLASSCASE_DB_SHARED_BUFFERS_MB)


def role_name(short: str) -> str:
    """Return the role's name in the cluster, e.g. `glasscase_app` for `app`. Raises ValueError for an unknown role."""
    if short not in LOGIN_ROLES and short not in OWNER_ROLES:
        raise ValueError(f"There is no role {short!r}.")
    return f"{settings.GLASSCASE_ROLE_PREFIX}{short}"


def short_role(name: str) -> str:
    """Return the role without the prefix: the inverse of `role_name`."""
    return name.removeprefix(settings.GLASSCASE_ROLE_PREFIX)


def database_name() -> str:
    """Return the name of the database that Django uses now (in tests: the clone)."""
    return str(connections.settings["default"]["NAME"])


def password_file(role: str) -> Path:
    """Return where the password of a login role is kept in embedded mode."""
    return Path(settings.GLASSCASE_HOME) / "secrets" / f"db_{role}"


def password(role: str) -> str:
    """Return the password of a login role.

    From GLASSCASE_DB_PASSWORD_<ROLE>[_FILE], for the process's own role also from GLASSCASE_DB_PASSWORD[_FILE], in
    embedded mode from the file that `init_database` wrote, for a shard from the file in its home. Raises SettingError when there is none.
    """
    given = secret(f"GLASSCASE_DB_PASSWORD_{role.upper()}", "")
    if not given and role == settings.GLASSCASE_DB_ROLE:
        given = secret("GLASSCASE_DB_PASSWORD", "")
    if given:
        return given
    if not is_embedded() and not settings.GLASSCASE_SHARD:
        raise SettingError(
            f"No password for the database role {role}: set GLASSCASE_DB_PASSWORD_{role.upper()} or "
            f"GLASSCASE_DB_PASSWORD_{role.upper()}_FILE."
        )
    try:
        return password_file(role).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise SettingError(
            "The database has no roles yet. Run `manage.py init_database`, then `manage.py migrate`."
        ) from None
    except PermissionError:
        raise SettingError(f"This user may not read {password_file(role)}. Run the command as its owner.") from None


# Sent with every connection, because a role may ALTER ROLE itself and what it sets would hold for each later session: start-up
# options come before that. The gate's functions pin what matters to them once more.
SESSION = {
    "synchronous_commit": "on",
    "default_transaction_isolation": "read\\ committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "TimeZone": "UTC",
    "search_path": '"$user",public',
    "statement_timeout": "0",
    "lock_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "client_min_messages": "notice",
    "debug_print_parse": "off",
    "debug_print_rewritten": "off",
    "debug_print_plan": "off",
    "log_parameter_max_length_on_error": "0",
    "role": "none",
}
SESSION_OPTIONS = " ".join(f"-c {name}={value}" for name, value in SESSION.items())


def parameters(role: str, dbname: str | None = None) -> dict[str, Any]:
    """Return libpq's connection parameters for a login role; starts the embedded server when it is not running."""
    if is_embedded():
        embedded = server()
        embedded.start()
        place: dict[str, Any] = {"host": str(embedded.socket_directory)}
    else:
        place = {"host": settings.GLASSCASE_DB_HOST, "port": settings.GLASSCASE_DB_PORT}
        if settings.GLASSCASE_DB_SSLMODE:
            place["sslmode"] = settings.GLASSCASE_DB_SSLMODE
    return {
        **place,
        "dbname": dbname or database_name(),
        "user": role_name(role),
        "password": password(role),
        "options": SESSION_OPTIONS,
    }


def dsn(role: str, dbname: str | None = None) -> str:
    """Return the connection string of a login role, password included. Treat it as a secret."""
    return make_conninfo(**parameters(role, dbname))


def connect(role: str, *, autocommit: bool = True, dbname: str | None = None) -> psycopg.Connection:
    """Open a connection of one's own (not Django's) as a login role.

    Raises SettingError when the role has no password here, psycopg.OperationalError when the server refuses.
    """
    return psycopg.connect(
        **parameters(role, dbname), autocommit=autocommit, application_name=f"glasscase {role}", connect_timeout=10
    )


def session() -> psycopg.Connection:
    """Return Django's own psycopg connection, inside whose transaction a call is one act with Django's rows."""
    django_connection.ensure_connection()
    own: psycopg.Connection = django_connection.connection
    return own


def connect_superuser(dbname: str = "postgres") -> psycopg.Connection:
    """Open an autocommit connection as the superuser: for `init_database` and `doctor` only.

    Embedded: by operating-system user. Real server: GLASSCASE_DB_SUPERUSER and GLASSCASE_DB_SUPERUSER_PASSWORD[_FILE].
    """
    if is_embedded():
        embedded = server()
        embedded.start()
        return embedded.connect(dbname)
    return psycopg.connect(
        host=settings.GLASSCASE_DB_HOST,
        port=settings.GLASSCASE_DB_PORT,
        sslmode=settings.GLASSCASE_DB_SSLMODE or "prefer",
        user=settings.GLASSCASE_DB_SUPERUSER,
        password=secret(
            "GLASSCASE_DB_SUPERUSER_PASSWORD", hint="init_database makes roles, and only a superuser may do that."
        ),
        dbname=dbname,
        autocommit=True,
        connect_timeout=10,
        application_name="glasscase superuser",
    )


def new_password(role: str) -> str:
    """Return the password that `init_database` gives to a login role: the given one, else a kept generated one."""
    if not is_embedded() and not settings.GLASSCASE_SHARD:
        return password(role)
    return secret(f"GLASSCASE_DB_PASSWORD_{role.upper()}", "") or state.kept_secret(password_file(role))


@contextmanager
def acting_as(role: str) -> Iterator[None]:
    """Let Django's own connection log in as another role inside the block (`migrate` runs as the migrate role)."""
    chosen = connections.settings["default"]
    before = chosen["USER"]
    django_connection.close()
    chosen["USER"] = role_name(role)
    try:
        yield
    finally:
        django_connection.close()
        chosen["USER"] = before


def render_sql(text: str) -> str:
    """Replace `@app@`, `@gate_owner@`, … by the quoted, prefixed role names. Raises ValueError for an unknown role."""
    return _PLACEHOLDER.sub(lambda found: sql.Identifier(role_name(found[1])).as_string(None), text)


class RunSQLFile(Operation):
    """Migration operation: run one SQL file of an app, forward only, inside the migration's transaction.

    The file may `SET LOCAL ROLE @gate_owner@`; the role is reset afterwards. The transaction says that it means to
    change guarded schemas, so that the event triggers against mistakes let it pass.
    """

    reduces_to_sql = True
    reversible = False

    def __init__(self, app: str, file: str) -> None:
        self.app = app
        self.file = file

    @property
    def path(self) -> Path:
        return Path(apps.get_app_config(self.app).path) / self.file

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Change nothing: these schemas have no Django models."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        text = render_sql(self.path.read_text(encoding="utf-8"))
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL {MAINTENANCE_SETTING} = 'on'")
            cursor.execute(text)
            cursor.execute("RESET ROLE")

    def describe(self) -> str:
        return f"Run {self.app}/{self.file}"


def sql_files(app: str, names: Sequence[str]) -> list[RunSQLFile]:
    """Return the operations that run SQL files in order: `operations = sql_files("search", ["gate/sql/10_tables.sql"])`.

    `names` are paths relative to the directory of `app`.
    """
    return [RunSQLFile(app, name) for name in names]

"""What `manage.py doctor` looks at: one small check per subject, each answering with a sentence."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from django.conf import settings
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.utils.module_loading import import_string

from core import database, grants
from core.environment import SettingError
from core.roles import LOGIN_ROLES, OWNER_ROLES, SCHEMAS

_LOW_DISK_MB = 2048


@dataclass(frozen=True)
class Finding:
    """One checked subject; `sentence` says what is so, or what to do."""

    subject: str
    fine: bool
    sentence: str


_registered: list[str] = []


def register(check: str) -> None:
    """Add a check of another app, by its dotted name; called in AppConfig.ready. It is imported when it is needed."""
    if check not in _registered:
        _registered.append(check)


def examine() -> list[Finding]:
    """Run every check. One that breaks is a finding too; without a server, or roles in it, the rest is not asked."""
    findings: list[Finding] = []
    for check in (*CHECKS, *map(import_string, _registered)):
        try:
            found = list(check())
        except (psycopg.Error, SettingError, OSError) as problem:
            found = [Finding(check.__name__, False, " ".join(str(problem).split()))]
        findings.extend(found)
        if check in (server, roles) and not found[0].fine:
            break
    return findings


def _look(dbname: str | None = None) -> psycopg.Connection:
    """Connect to look at the catalogue: as superuser where that needs no password, else as this process's role."""
    if database.is_embedded():
        return database.connect_superuser(dbname or "postgres")
    return database.connect(settings.GLASSCASE_DB_ROLE)


def python() -> Iterator[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding("python", sys.version_info >= (3, 11), f"{version}; 3.11 or newer is needed")


def packages() -> Iterator[Finding]:
    wanted = (
        "celery",
        "sqlalchemy",
        "insightface",
        "onnxruntime",
        "_dlib_pybind11",
        "cv2",
        "matplotlib",
        "cryptography",
    )
    missing = [name for name in wanted if importlib.util.find_spec(name) is None]
    yield Finding(
        "packages", not missing, f"install the requirements again: {', '.join(missing)}" if missing else "all there"
    )


def home() -> Iterator[Finding]:
    place = Path(settings.GLASSCASE_HOME)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    yield Finding("home", os.access(place, os.W_OK), f"{place} (GLASSCASE_HOME)")
    free = shutil.disk_usage(place).free // 1024**2
    yield Finding("disk", free > _LOW_DISK_MB, f"{free} MB free there")
    for name in ("secrets", "keys", "signer"):
        directory = place / name
        if directory.exists():
            others = directory.stat().st_mode & 0o077
            yield Finding(name, not others, f"{directory}: {'run chmod 700 on it' if others else 'its owner only'}")


def web() -> Iterator[Finding]:
    yield Finding("debug", not settings.DEBUG, "unset GLASSCASE_DEBUG" if settings.DEBUG else "off")
    loopback = not settings.HTTPS
    yield Finding(
        "https", True, "off: this machine only" if loopback else f"on, for {', '.join(settings.ALLOWED_HOSTS)}"
    )


def server() -> Iterator[Finding]:
    with _look() as connection:
        version, buffers = connection.execute("SELECT version(), current_setting('shared_buffers')").fetchone() or (
            "",
            "",
        )
        kind = "embedded" if database.is_embedded() else f"at {settings.GLASSCASE_DB_HOST}"
        yield Finding("server", True, f"{str(version).split(' on ')[0]}, {kind}, shared_buffers {buffers}")
        if database.is_embedded():
            rows = connection.execute("SELECT 1 FROM pg_hba_file_rules WHERE auth_method = 'trust'").fetchall()
            sentence = "pg_hba.conf lets somebody in without proof" if rows else "nobody is let in without proof"
            yield Finding("trust", not rows, sentence)
        for name, wanted in (
            ("log_min_error_statement", "panic"),
            ("log_parameter_max_length_on_error", "0"),
            ("fsync", "on"),
        ):
            row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
            value = row[0] if row else ""
            yield Finding(
                name, value == wanted, value if value == wanted else f"{value}; set it to {wanted} on the server"
            )


def roles() -> Iterator[Finding]:
    with _look() as connection:
        rows = connection.execute("SELECT rolname, rolsuper, rolcreaterole, rolbypassrls FROM pg_roles").fetchall()
    known = {name: any(powers) for name, *powers in rows}
    wanted = [database.role_name(short) for short in (*LOGIN_ROLES, *OWNER_ROLES)]
    missing = [name for name in wanted if name not in known]
    mighty = [name for name in wanted if known.get(name)]
    yield Finding(
        "roles",
        not missing,
        f"{len(missing)} missing: run manage.py init_database" if missing else f"{len(wanted)} there",
    )
    yield Finding(
        "powers",
        not mighty,
        f"too powerful: {', '.join(mighty)}" if mighty else "none of them is more than it should be",
    )


def passwords() -> Iterator[Finding]:
    for role in LOGIN_ROLES if database.is_embedded() else (settings.GLASSCASE_DB_ROLE,):
        try:
            with database.connect(role) as connection:
                connection.execute("SELECT 1")
        except (psycopg.Error, SettingError) as problem:
            yield Finding(f"role {role}", False, " ".join(str(problem).split()))
        else:
            yield Finding(f"role {role}", True, LOGIN_ROLES[role])


def schemas() -> Iterator[Finding]:
    with _look(database.database_name()) as connection:
        rows = connection.execute("SELECT nspname, nspowner::regrole::text FROM pg_namespace").fetchall()
        owners: dict[str, str] = dict(rows)
        wrong = [name for name, owner in SCHEMAS.items() if owners.get(name) != database.role_name(owner)]
        yield Finding(
            "schemas",
            not wrong,
            f"run manage.py init_database: {', '.join(wrong)}" if wrong else "there, with their owners",
        )
        row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
        yield Finding("pgvector", row is not None, row[0] if row else "run manage.py init_database")


def witnesses() -> Iterator[Finding]:
    """Whether the log is to be cosigned, and the gate demands it."""
    named = settings.GLASSCASE_WITNESS_POLICY
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT witnesses, grace_minutes FROM logwork.quorum")
        demanded, grace = cursor.fetchone() or (0, 0)
    if not named:
        yield Finding(
            "witnesses",
            demanded == 0,
            "nobody has to cosign the log (GLASSCASE_WITNESS_POLICY)"
            if demanded == 0
            else f"the gate demands {demanded} and GLASSCASE_WITNESS_POLICY names no policy: no search can run",
        )
        return
    readable = os.access(named, os.R_OK)
    yield Finding(
        "witness policy", readable, named if readable else f"{named} cannot be read (GLASSCASE_WITNESS_POLICY)"
    )
    yield Finding(
        "witness quorum",
        demanded > 0,
        f"the gate demands {demanded}; without them searches go on for {grace} minutes"
        if demanded
        else "a policy is named, and the gate demands nobody: set the limit witness_quorum",
    )


def migrations() -> Iterator[Finding]:
    executor = MigrationExecutor(connections["default"])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    yield Finding("migrations", not plan, f"{len(plan)} to apply: run manage.py migrate" if plan else "all applied")
    unlisted = [table for table in grants.django_tables() if table not in grants.APP_TABLES]
    yield Finding(
        "grants",
        not unlisted,
        f"not in core/grants.py: {', '.join(unlisted)}" if unlisted else "listed for every table",
    )


CHECKS: list[Callable[[], Iterator[Finding]]] = [
    python,
    packages,
    home,
    web,
    server,
    roles,
    passwords,
    schemas,
    migrations,
    witnesses,
]

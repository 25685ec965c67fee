"""What the app role may do with each of Django's tables: listed one by one, never ALL, applied after every migration.

Leave out what is not needed. TRIGGER, REFERENCES, TRUNCATE and MAINTAIN are never granted: each has been a way for the
app role to run code as another role or to stop the database.
"""

from __future__ import annotations

from typing import LiteralString

from django.db import connection
from psycopg.sql import SQL, Identifier

from core.database import role_name

Privileges = tuple[LiteralString, ...]

READ: Privileges = ("SELECT",)
ADD: Privileges = ("SELECT", "INSERT")
KEEP: Privileges = ("SELECT", "INSERT", "UPDATE")
ALL_ROWS: Privileges = ("SELECT", "INSERT", "UPDATE", "DELETE")

# Table -> privileges of the app role.
APP_TABLES: dict[str, Privileges] = {
    "django_migrations": READ,
    "django_content_type": READ,
    "django_session": ALL_ROWS,
    "auth_permission": READ,
    "auth_group": READ,
    "auth_group_permissions": READ,
    "core_agency": KEEP,
    "core_user": KEEP,
    "core_apitoken": KEEP,
    "core_job": KEEP,
    "search_case": KEEP,
    "search_caseassignment": ALL_ROWS,
    "search_facemodel": KEEP,
    "search_gallery": KEEP,
    "search_enrolment": KEEP,
    "search_enrolmentitem": KEEP,
    "search_enrolledphoto": ALL_ROWS,
    "search_searchrequest": KEEP,
    "search_attachment": ("SELECT", "INSERT", "UPDATE (name)"),  # a name is erased with what it names
    "audit_benchmarkset": ADD,
    "search_candidatereading": ADD,
    "search_review": KEEP,
    "search_reviewdecision": ADD,
    "search_lead": ADD,
    "search_leadoutcome": ADD,
    "search_disclosure": ADD,
    "audit_evaluation": KEEP,
    "audit_courtlink": KEEP,
    "audit_evaluationchunk": KEEP,
    "audit_labelreview": ADD,
    "audit_finding": KEEP,
    "audit_testingsession": KEEP,
    "account_emailaddress": READ,
    "account_emailconfirmation": READ,
    "mfa_authenticator": ALL_ROWS,
    "axes_accessattempt": ALL_ROWS,
    "axes_accessattemptexpiration": ALL_ROWS,
    "axes_accessfailurelog": ALL_ROWS,
    "axes_accesslog": ALL_ROWS,
}


def django_tables() -> list[str]:
    """Return every ordinary or partitioned table in `public`, as the database knows them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') ORDER BY 1"
        )
        return [name for (name,) in cursor.fetchall()]


def apply() -> list[str]:
    """Give the app role exactly the listed privileges. Run as the migrate role, which owns the tables.

    Returns the tables that are not listed: the app role gets nothing on them.
    """
    tables = django_tables()
    app = Identifier(role_name("app"))
    with connection.cursor() as cursor:
        for table in tables:
            place = Identifier("public", table)
            cursor.execute(SQL("REVOKE ALL ON TABLE {} FROM {}").format(place, app))
            if table in APP_TABLES:
                privileges = SQL(", ").join(SQL(word) for word in APP_TABLES[table])
                cursor.execute(SQL("GRANT {} ON TABLE {} TO {}").format(privileges, place, app))
    return [table for table in tables if table not in APP_TABLES]

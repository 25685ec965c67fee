"""Maintenance of the database as an entry, written before it happens: what a superuser does afterwards was announced."""

from __future__ import annotations

import psycopg

from audit.log.entries import compose
from core import database
from core.permissions import OPERATOR

_FROZEN = "GC503"
_IS_THERE = (
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
    " WHERE n.nspname = 'log' AND p.proname = 'append_as_migrate')"
)


class NotRecorded(RuntimeError):
    """The log does not take the entry; the sentence says why."""


def announce(*, migrations: int, reason: str | None = None) -> bool:
    """Log that `migrations` are applied next, or that something else is done for `reason` (a code of the log).

    False before there is a log. Raises NotRecorded, also while the log is frozen.
    """
    try:
        with database.connect("migrate") as own:
            row = own.execute(_IS_THERE).fetchone()
            if row is None or not row[0]:
                return False
            entry = compose("log:database:maintained", migrations=migrations, reason=reason, role=OPERATOR)
            own.execute("SELECT log.append_as_migrate(%s)", [entry.body])
    except psycopg.Error as error:
        why = "it is frozen" if error.sqlstate == _FROZEN else "it does not answer"
        raise NotRecorded(f"The log took no entry about this maintenance: {why}.") from error
    return True

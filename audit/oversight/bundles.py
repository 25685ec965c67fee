"""The entry that says that somebody was served entry bundles: one per token (or person without one) and hour."""

from __future__ import annotations

import time
import uuid
from typing import Final

import structlog
from django.db import connection

from audit.log import journal
from audit.oversight import health
from core.models import ApiToken, User
from core.permissions import signature
from core.person_roles import Permission

log = structlog.get_logger(__name__)

HOUR_MS: Final = 3_600_000
EVENT: Final = "log:bundle:served"
# What this process has seen in the log already; a reader of a whole log asks for hundreds of bundles.
_recorded: dict[uuid.UUID, int] = {}


def record(user: User, token: ApiToken | None) -> None:
    """Log that `user` reads bundles, unless the log says so already for this hour.

    Raises LogUnavailable, except when the log is frozen: then it must stay possible to check what it holds.
    """
    reader = token.id if token is not None else user.id
    now = time.time_ns() // 1_000_000
    if _recorded.get(reader, 0) > now - HOUR_MS:
        return
    said = _last(reader, now - HOUR_MS)
    if said is None:
        try:
            journal.record_now(EVENT, reader=reader, **signature(user, Permission.READ_LOG))
        except journal.LogUnavailable:
            if health.state().frozen is None:
                raise
            log.warning("bundles served without an entry: the log is frozen", reader=str(reader))
            return
        said = now
    for other in [key for key, at in _recorded.items() if at <= now - HOUR_MS]:
        del _recorded[other]
    _recorded[reader] = said


def _last(reader: uuid.UUID, after: int) -> int | None:
    """When the log last said so after `after` (milliseconds); looks at the newest thousand such entries."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(at) FROM (SELECT at, body FROM log.entry WHERE type = %s ORDER BY id DESC LIMIT 1000) recent"
            " WHERE at > %s AND convert_from(body, 'UTF8')::jsonb ->> 'reader' = %s",
            [EVENT, after, str(reader)],
        )
        row = cursor.fetchone()
    return None if row is None else row[0]

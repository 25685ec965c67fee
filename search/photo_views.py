"""Who looks at a searched photo: one entry per person, search and hour, committed before the photo is shown."""

from __future__ import annotations

import time
from typing import Final

from django.db import connection

from audit.log import journal
from core.models import User
from search.models import SearchRequest

EVENT: Final = "search:photo:viewed"
_HOUR_MS: Final = 3_600_000


def record(by: User, request: SearchRequest) -> None:
    """Log that `by` looks at the photo, unless the log says so for this hour or the photo is a draft of their own.

    Raises LogUnavailable: without its entry no photo is shown.
    """
    if request.requester_id == by.id and request.submitted_at is None:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM log.entry WHERE request = %s AND type = %s AND at > %s"
            " AND convert_from(body, 'UTF8')::jsonb ->> 'viewer' = %s)",
            [request.pk, EVENT, time.time_ns() // 1_000_000 - _HOUR_MS, str(by.id)],
        )
        row = cursor.fetchone()
    if row is None or not row[0]:
        journal.record_now(EVENT, request=request.pk, viewer=by.id, actor=by.id)

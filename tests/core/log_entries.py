"""Looking into the log from a test."""

from __future__ import annotations

import json
from typing import Any

from django.db import connection


def entries(event: str) -> list[dict[str, Any]]:
    """The entries of one type, oldest first, whether sequenced yet or not."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT convert_from(body, 'UTF8') FROM log.entry WHERE type = %s ORDER BY id", [event])
        return [json.loads(body) for (body,) in cursor.fetchall()]

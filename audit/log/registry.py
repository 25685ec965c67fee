"""Brings the database's copy of the event registry up to the code's. Called by migrations only."""

from __future__ import annotations

import json
from typing import Any

from audit.log import events


def rows() -> list[tuple[str, str, str, list[str], list[str]]]:
    """type, writer, fields (JSON: field -> kind, envelope included), required fields, allowed commitments."""
    found = []
    for event in events.REGISTRY.values():
        required = [*events.ENVELOPE, *event.fields]
        fields = {**events.ENVELOPE, **events.ENVELOPE_OPTIONAL, **event.fields, **event.optional}
        found.append((event.type, event.writer, json.dumps(fields, sort_keys=True), required, list(event.commits)))
    return found


def synchronise(cursor: Any) -> None:
    """Adds new event types and widens known ones; a type that the code no longer has keeps its row.

    `cursor` belongs to the migrate role, inside a transaction.
    """
    for row in rows():
        cursor.execute(
            "INSERT INTO log.event_type (type, writer, fields, required, commits) VALUES (%s, %s, %s::jsonb, %s, %s)"
            " ON CONFLICT (type) DO UPDATE SET writer = excluded.writer, fields = excluded.fields,"
            " required = excluded.required, commits = excluded.commits",
            list(row),
        )

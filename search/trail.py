"""What the log says about one request: its entries, their place in the tree, and whether a signed checkpoint covers them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from django.conf import settings

from audit.log import approval_proofs, approval_watch

_SELECT: Final = (
    "SELECT e.uid, e.type, e.at, e.body, f.idx, c.size, c.at FROM log.entry e LEFT JOIN log.place f ON f.entry_id = e.id "
    "LEFT JOIN LATERAL (SELECT size, at FROM log.checkpoint WHERE origin = f.origin AND size > f.index ORDER BY size LIMIT 1) "
    "c ON true "
    "WHERE e.request = %s ORDER BY e.id"
)
_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.2


class LogSilent(RuntimeError):
    """Sequencer or signer did not take an entry in time. `sentence` says which."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True)
class Entry:
    """One entry of a request. `index` is its place in the tree, `covered_at` when the first checkpoint over it was signed."""

    id: uuid.UUID
    type: str
    at: datetime
    fields: Mapping[str, Any]
    index: int | None
    covered_at: datetime | None


def entries(connection: psycopg.Connection, request: uuid.UUID) -> list[Entry]:
    """All entries that name the request, oldest first."""
    return [
        Entry(
            id=uuid.UUID(str(uid)),
            type=str(type_),
            at=datetime.fromtimestamp(at / 1000, UTC),
            fields=json.loads(bytes(body)),
            index=index,
            covered_at=covered_at,
        )
        for uid, type_, at, body, index, _, covered_at in connection.execute(_SELECT, [request]).fetchall()
    ]


def find(connection: psycopg.Connection, request: uuid.UUID, type_: str, **fields: str) -> Entry | None:
    """The first entry of a type about the request that has these fields."""
    for entry in entries(connection, request):
        if entry.type == type_ and all(entry.fields.get(name) == value for name, value in fields.items()):
            return entry
    return None


def approvers(connection: psycopg.Connection, request: uuid.UUID, params: str) -> set[uuid.UUID]:
    """Who approved the request with exactly these parameters: written by the gate, which compared the secrets."""
    return {
        uuid.UUID(entry.fields["approver"])
        for entry in entries(connection, request)
        if entry.type == "search:request:approved" and entry.fields["params"] == params
    }


def wrong_proof(connection: psycopg.Connection, request: uuid.UUID, params: str) -> str | None:
    """Why the proof of an approval of exactly these parameters is wrong; None when every one is right, or has none."""
    approvals = [
        entry
        for entry in entries(connection, request)
        if entry.type == approval_proofs.APPROVED and entry.fields["params"] == params and entry.index is not None
    ]
    proven = [entry for entry in approvals if entry.fields["approval_proof"] != "none"]
    if not proven:
        return None
    problems = approval_watch.problems(connection, first=min(e.index for e in proven if e.index is not None))
    return next((problems[entry.id] for entry in proven if entry.id in problems), None)


def wait(
    connection: psycopg.Connection, entry: uuid.UUID, *, covered: bool, alive: Callable[[], None] = lambda: None
) -> None:
    """Waits until the entry is in the tree, or until a signed checkpoint covers it. `alive` is called about every second.

    Raises LogSilent after GLASSCASE_LOG_WAIT_SECONDS.
    """
    started = spoke = time.monotonic()
    pause = _FIRST_PAUSE
    while True:
        row = connection.execute(
            "SELECT f.index, (SELECT max(size) FROM log.checkpoint WHERE origin = f.origin) "
            "FROM log.entry e JOIN log.place f ON f.entry_id = e.id WHERE e.uid = %s",
            [entry],
        ).fetchone()
        if row is not None and (not covered or (row[1] is not None and row[0] < row[1])):
            return
        now = time.monotonic()
        if now - started > settings.GLASSCASE_LOG_WAIT_SECONDS:
            who = "sequencer" if row is None else "signer"
            raise LogSilent(f"The log's {who} does not answer. The search waits and will be tried again.")
        if now - spoke > 1:
            alive()
            spoke = now
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)

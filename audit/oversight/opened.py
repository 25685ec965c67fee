"""Opening what an entry seals: first the reading goes into the log, then the vault gives up what the keys still open.

`vault.get` demands a sequenced `vault:record:viewed` entry, so nobody reads a personal value without an index in the tree.
What was opened is compared with the commitment in the entry: a value that was exchanged in the vault is shown as such.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from django.conf import settings
from django.db import connection

from audit.log import journal
from audit.log.commitments import Opening
from audit.oversight.entries import LogEntry
from audit.permissions import check_can_open_sealed
from core import keystore
from core.exceptions import NotFound, Unavailable
from core.models import User
from core.permissions import signature
from core.person_roles import Permission

State = Literal["fits", "differs", "erased", "elsewhere"]
_PAUSE: Final = 0.1


@dataclass(frozen=True)
class Opened:
    """One sealed field after the reading `view`.

    `state`: `fits` (value and salt give the commitment), `differs` (they do not: somebody changed the vault), `erased`
    (its key was destroyed), `elsewhere` (the vault never had it; candidate lists are kept by the gate). `opening` is there
    in the first two.
    """

    field: str
    commitment: str
    state: State
    opening: Opening | None = None

    @property
    def text(self) -> str:
        """The value: text as it is, everything else as JSON."""
        value = self.opening.value if self.opening else ""
        return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def open_sealed(by: User, entry: LogEntry) -> tuple[uuid.UUID, list[Opened]]:
    """Log the reading, wait until it has its place in the tree, open; returns the reading's entry id and every field.

    Raises NotAllowed, NotFound for an entry that seals nothing, LogUnavailable, Unavailable when no sequencer runs.
    """
    check_can_open_sealed(by)
    if not entry.commitments:
        raise NotFound("This entry seals nothing.")
    [(view, opened)] = open_all(by, [(entry.id, entry.commitments)], Permission.SAMPLE_SEARCHES)
    return view, opened


def open_all(
    by: User, entries: Sequence[tuple[uuid.UUID, Mapping[str, str]]], permission: Permission
) -> list[tuple[uuid.UUID, list[Opened]]]:
    """The same for several entries, given as id and commitments, after the caller has asked who may; one reading for each.

    `permission` is what the readings' entries are signed with. Raises LogUnavailable, Unavailable.
    """
    views = [
        journal.record_reading("vault:record:viewed", entry=entry, viewer=by.id, **signature(by, permission))
        for entry, _ in entries
    ]
    found = []
    for view, (_, commitments) in zip(views, entries, strict=True):
        _await_place(view)
        with connection.cursor() as cursor:
            cursor.execute("SELECT field, record, sealed FROM vault.get(%s, %s)", [view, journal.reading_secret(view)])
            kept = {name: (record, bytes(sealed)) for name, record, sealed in cursor.fetchall()}
        found.append((view, [_open(name, commitment, kept) for name, commitment in sorted(commitments.items())]))
    return found


def _open(name: str, commitment: str, kept: Mapping[str, tuple[uuid.UUID, bytes]]) -> Opened:
    if name not in kept:
        return Opened(name, commitment, "elsewhere")
    record, sealed = kept[name]
    try:
        clear: dict[str, Any] = json.loads(keystore.unseal(keystore.get(record), "vault", sealed))
    except keystore.KeyMissing:
        return Opened(name, commitment, "erased")
    except keystore.Unsealable:
        return Opened(name, commitment, "differs")
    opening = Opening(clear["field"], bytes.fromhex(clear["salt"]), clear["value"])
    fits = opening.field == name and opening.commitment == commitment
    return Opened(name, commitment, "fits" if fits else "differs", opening)


def _await_place(entry: uuid.UUID) -> None:
    until = time.monotonic() + settings.GLASSCASE_LOG_WAIT_SECONDS
    while time.monotonic() < until:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM log.leaf l JOIN log.entry e ON e.id = l.entry_id WHERE e.uid = %s)", [entry]
            )
            row = cursor.fetchone()
        if row is not None and row[0]:
            return
        time.sleep(_PAUSE)
    raise Unavailable(
        "The log's sequencer does not answer, so nothing was opened; that you asked is recorded. Try again later."
    )

"""The notifier: tells approvers what was done in their name, from a process that is neither the web nor a worker.

It reads the tree in the order of its indices, which are dense, so nothing is passed over; where it stands is a small file
of its own. Each message is sent at least once: killed between the sending and the file, it sends that one again (with the
same Message-ID). The entry that says so is written once: before it tells, it looks whether the log says so already.
"""

from __future__ import annotations

import contextlib
import json
import os
import smtplib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any, Final

import psycopg
import structlog
from django.conf import settings
from django.core.mail import EmailMessage

from audit.log.entries import compose
from audit.notifier_messages import MESSAGES
from core import state

log = structlog.get_logger(__name__)

PAUSE_SECONDS: Final = 1.0
STEP_LIMIT: Final = 500
NOTIFIED: Final = "gate:approver:notified"
UNREACHABLE: Final = "gate:approver:unreachable"


class NotifierRefusal(RuntimeError):
    """The log is shorter than what was read of it: it was cut or restored, and somebody has to look at it."""


@dataclass(frozen=True)
class Place:
    """Where the notifier stands: the next index to read, and the entry of which a message was sent last."""

    index: int = 0
    sent: str = ""


class Notifier:
    """Tells approvers, remembering in `directory` where it stands. One process at a time holds the directory's lock.

    Raises NotifierRefusal when another one runs.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = directory / "state.json"
        self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            flock(self._lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise NotifierRefusal("Another notifier is running here.") from None
        self.place = self._read()

    def close(self) -> None:
        os.close(self._lock)

    def _read(self) -> Place:
        try:
            kept = json.loads(self._file.read_text(encoding="ascii"))
        except FileNotFoundError:
            return Place()
        return Place(int(kept["index"]), str(kept["sent"]))

    def _remember(self, place: Place) -> None:
        content = json.dumps({"index": place.index, "sent": place.sent})
        state.write_durably(self._file, content.encode("ascii"))
        self.place = place

    def step(self, connection: psycopg.Connection) -> bool:
        """Reads on and tells whom it has to; says whether there may be more. `connection` belongs to the notifier's role.

        Raises NotifierRefusal, psycopg.Error, and OSError (smtplib's among them) when a message cannot be sent now.
        """
        size = connection.execute("SELECT coalesce(max(idx) + 1, 0) FROM log.leaf").fetchone()
        assert size is not None, "an aggregate has a row"
        if size[0] < self.place.index:
            raise NotifierRefusal(
                f"The log has {size[0]} entries, but {self.place.index} were read of it: it was cut or restored."
            )
        rows = connection.execute(
            "SELECT l.idx, e.id, e.type, e.body FROM log.leaf l JOIN log.entry e ON e.id = l.entry_id"
            " WHERE l.idx >= %s AND l.idx < %s ORDER BY l.idx",
            [self.place.index, self.place.index + STEP_LIMIT],
        ).fetchall()
        for index, number, type_, body in rows:
            if type_ in MESSAGES:
                self._tell(connection, index, number, json.loads(bytes(body)))
                self._remember(replace(self.place, index=index + 1))
        if rows and self.place.index <= rows[-1][0]:
            self._remember(replace(self.place, index=rows[-1][0] + 1))
        return len(rows) == STEP_LIMIT

    def _tell(self, connection: psycopg.Connection, index: int, number: int, entry: Mapping[str, Any]) -> None:
        if _is_told(connection, number, entry["id"]):
            return
        row = connection.execute("SELECT gate.approver_contact(%s)", [entry["approver"]]).fetchone()
        contact = row[0] if row else None
        reason = "no_contact"
        if contact:
            try:
                if self.place.sent != entry["id"]:
                    _send(contact, index, entry)
                    self._remember(replace(self.place, sent=entry["id"]))
                _append(connection, NOTIFIED, entry)
                return
            except smtplib.SMTPRecipientsRefused:
                # No use trying again; everything else that goes wrong with mail is tried until it goes right.
                reason = "refused"
        log.error("approver not told", approver=entry["approver"], entry=entry["id"], reason=reason)
        _append(connection, UNREACHABLE, entry, reason=reason)


def _is_told(connection: psycopg.Connection, number: int, entry: str) -> bool:
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM log.entry WHERE type = ANY(%s) AND id > %s"
        " AND convert_from(body, 'UTF8')::jsonb ->> 'entry' = %s)",
        [[NOTIFIED, UNREACHABLE], number, entry],
    ).fetchone()
    return bool(row and row[0])


def _append(connection: psycopg.Connection, type_: str, entry: Mapping[str, Any], reason: str | None = None) -> None:
    told = compose(type_, approver=entry["approver"], entry=entry["id"], reason=reason)
    connection.execute("SELECT log.append_as_notifier(%s)", [told.body])


def _send(contact: str, index: int, entry: Mapping[str, Any]) -> None:
    subject, text = MESSAGES[entry["type"]](entry)
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2]
    EmailMessage(
        subject=f"Glasscase: {subject}",
        body=f"{text}\n\nThis is entry {index} of the log ({entry['id']}).\n",
        to=[contact],
        headers={"Message-ID": f"<{entry['id']}@{domain}>"},
    ).send()


@contextlib.contextmanager
def open_notifier(directory: Path) -> Iterator[Notifier]:
    """A notifier whose lock is released at the end."""
    notifier = Notifier(directory)
    try:
        yield notifier
    finally:
        notifier.close()

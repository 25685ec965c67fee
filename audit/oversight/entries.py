"""Entries of the log for the browser: newest first, filtered, with the names that the reader may know.

Only entries that have their place in the tree are shown. Ids stand literally in an entry's canonical bytes, so a filter by
person or case finds every entry that mentions the id, in whatever field. Which requests belong to a case is what the log
says, not what the tables of the application say.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.db import OperationalError, connection, transaction

from audit.log import events, journal
from audit.log.merkle import leaf_hash
from audit.oversight.sentences import PEOPLE, Names, mentioned
from audit.permissions import can_open_sealed
from core.exceptions import Invalid, NotFound
from core.models import User
from core.permissions import signature
from core.person_roles import Permission
from search import selectors

PAGE_SIZE: Final = 50
# A filter that finds little in a long log reads all of it.
_SECONDS: Final = 15
_LONGEST_LIFE: Final = 200
READINGS: Final = ("log:entries:viewed", "log:bundle:served")
# The entries that say to which case a request belongs.
_NAME_THE_CASE: Final = ("search:request:submitted", "search:request:refused", "search:intent:filed")
_COLUMNS: Final = "l.idx, e.uid, e.body FROM log.leaf l JOIN log.entry e ON e.id = l.entry_id"


@dataclass(frozen=True)
class LogEntry:
    """One entry in the tree. `index` is its number in the log, `body` its canonical bytes, `fields` what they say."""

    index: int
    id: uuid.UUID
    body: bytes
    fields: Mapping[str, Any]

    @classmethod
    def of(cls, index: int, uid: uuid.UUID, body: bytes) -> LogEntry:
        return cls(int(index), uid, bytes(body), json.loads(bytes(body)))

    @property
    def type(self) -> str:
        return str(self.fields["type"])

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.fields["at"] / 1000, UTC)

    @property
    def leaf(self) -> bytes:
        """The entry's hash in the tree."""
        return leaf_hash(self.body)

    @property
    def commitments(self) -> Mapping[str, str]:
        """Sealed field -> commitment (64 hex digits)."""
        found: Mapping[str, str] = self.fields.get("c", {})
        return found


@dataclass(frozen=True)
class Filter:
    """Which entries to show. `type` is an event type or the beginning of several (`search:`); the rest narrows further.

    `case` finds the entries that name the case and those of its requests; `first` and `last` are entry numbers, inclusive.
    """

    type: str = ""
    case: uuid.UUID | None = None
    request: uuid.UUID | None = None
    person: uuid.UUID | None = None
    first: int | None = None
    last: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    without_readings: bool = False

    def conditions(self) -> tuple[list[str], list[Any]]:
        """SQL conditions on log.leaf `l` and log.entry `e`, and their parameters."""
        found: list[str] = []
        values: list[Any] = []
        if self.type:
            types = [one for one in events.REGISTRY if one == self.type or one.startswith(self.type.rstrip(":") + ":")]
            found.append("e.type = ANY(%s)")
            values.append(types)
        if self.without_readings:
            found.append("e.type <> ALL(%s)")
            values.append(list(READINGS))
        if self.case is not None:
            found.append(
                "(position(convert_to(%s, 'UTF8') IN e.body) > 0 OR e.request IN (SELECT named.request FROM log.entry named"
                " WHERE named.type = ANY(%s) AND position(convert_to(%s, 'UTF8') IN named.body) > 0))"
            )
            values += [str(self.case), list(_NAME_THE_CASE), str(self.case)]
        if self.request is not None:
            found.append("e.request = %s")
            values.append(self.request)
        if self.person is not None:
            found.append("position(convert_to(%s, 'UTF8') IN e.body) > 0")
            values.append(str(self.person))
        for number, comparison in ((self.first, ">="), (self.last, "<=")):
            if number is not None:
                found.append(f"l.idx {comparison} %s")
                values.append(number)
        for moment, comparison in ((self.since, ">="), (self.until, "<")):
            if moment is not None:
                found.append(f"e.at {comparison} %s")
                values.append(_milliseconds(moment))
        return found, values

    def said(self) -> dict[str, Any]:
        """The filter as fields of the entry of an export; entry numbers are told by what was found."""
        return {
            "event": self.type.rstrip(":") or None,
            "case": self.case,
            "about": self.request,
            "user": self.person,
            "since": None if self.since is None else _milliseconds(self.since),
            "until": None if self.until is None else _milliseconds(self.until),
        }


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


@dataclass(frozen=True)
class Page:
    """Entries, newest first, and the index to ask before for the next page (None on the last one)."""

    entries: list[LogEntry]
    before: int | None


def page(which: Filter, *, before: int | None = None, size: int = PAGE_SIZE) -> Page:
    """The newest entries below index `before` that fit. Raises Invalid when that takes too long."""
    conditions, values = which.conditions()
    if before is not None:
        conditions.append("l.idx < %s")
        values.append(before)
    with _in_time() as cursor:
        cursor.execute(f"SELECT {_COLUMNS}{_where(conditions)} ORDER BY l.idx DESC LIMIT %s", [*values, size + 1])
        found = [LogEntry.of(*row) for row in cursor.fetchall()]
    return Page(found[:size], found[size - 1].index if len(found) > size else None)


def places(which: Filter, *, start: int, end: int, most: int) -> list[int]:
    """The places in log.leaf of the entries that fit, from `start` to before `end`, oldest first, at most `most`.

    Raises Invalid as `page`.
    """
    conditions, values = which.conditions()
    conditions += ["l.idx >= %s", "l.idx < %s"]
    with _in_time() as cursor:
        cursor.execute(
            f"SELECT l.idx FROM log.leaf l JOIN log.entry e ON e.id = l.entry_id{_where(conditions)}"  # noqa: S608
            " ORDER BY l.idx LIMIT %s",
            [*values, start, end, most],
        )
        return [int(index) for (index,) in cursor.fetchall()]


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


@contextmanager
def _in_time() -> Iterator[Any]:
    """A cursor whose statements are given up after a while. Raises Invalid then."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{_SECONDS}s'")
            yield cursor
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != "57014":
            raise
        raise Invalid("The log is too long for this filter. Choose an event, or a shorter time.") from error


def life(request: uuid.UUID) -> list[LogEntry]:
    """The entries of one search in the tree, oldest first, without those that only say that somebody read the log."""
    which = Filter(request=request, without_readings=True)
    conditions, values = which.conditions()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_COLUMNS}{_where(conditions)} ORDER BY l.idx LIMIT %s", [*values, _LONGEST_LIFE])
        return [LogEntry.of(*row) for row in cursor.fetchall()]


def one(entry: uuid.UUID) -> LogEntry:
    """One entry by its id. Raises NotFound, also while it waits for its place in the tree."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_COLUMNS} WHERE e.uid = %s", [entry])
        row = cursor.fetchone()
    if row is None:
        raise NotFound("There is no such entry in the log. If it was made just now, try again in a few seconds.")
    return LogEntry.of(*row)


def names(by: User, entries: Sequence[LogEntry]) -> Names:
    """The names of people, cases and galleries that these entries mention; none for whoever may not open sealed values."""
    if not can_open_sealed(by):
        return Names()
    fields = [entry.fields for entry in entries]
    people = User.objects.in_bulk(list(mentioned(fields, *PEOPLE, "approvers", "examiners", "officers")))
    cases = selectors.cases(by).filter(pk__in=mentioned(fields, "case"))
    galleries = selectors.galleries(by).filter(pk__in=mentioned(fields, "gallery"))
    return Names(
        people={str(pk): str(person) for pk, person in people.items()},
        cases={str(case.pk): case.number for case in cases},
        galleries={str(gallery.pk): gallery.name for gallery in galleries},
    )


def record_view(by: User, shown: Sequence[LogEntry], *, about: str | None = None) -> None:
    """The entry that says that these were read: without it nothing is shown. Raises LogUnavailable.

    `about` is the id of the request whose other entries were shown beside them.
    """
    indices = [entry.index for entry in shown]
    journal.record_now(
        "log:entries:viewed",
        first=min(indices, default=None),
        last=max(indices, default=None),
        about=about,
        **signature(by, Permission.READ_LOG),
    )

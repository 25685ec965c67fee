"""Whether the log is healthy, in one cheap query: the header of every page says it.

Healthy means that nothing waits longer than it should on its way into the signed log, that tree and checkpoint do not
contradict each other, and that the log is not frozen. A quiet log is healthy however old its checkpoint is: there was
nothing to sign. Whether the signatures hold is for outsiders to check (`glasscase-verify`), not for this process.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from django.db import DatabaseError, connection
from psycopg import Error as DriverError

from audit.log.sequencer import LOOSE_AFTER_SECONDS

# An entry that is in the tree and not under a signature for longer than this means that the signer stands still.
UNSIGNED_AFTER_SECONDS: Final = 10

State = Literal["good", "warn", "bad"]

_QUERY: Final = """
    WITH open AS (SELECT number, base FROM log.origin ORDER BY number DESC LIMIT 1),
    signed AS (SELECT size, root, at FROM log.checkpoint WHERE origin = (SELECT number FROM open) ORDER BY size DESC, at DESC LIMIT 1)
    SELECT h.size, h.root, signed.size, signed.root, signed.at, clock_timestamp(), f.reason, p.waiting, p.oldest,
        (SELECT e.at FROM log.leaf l JOIN log.entry e ON e.id = l.entry_id WHERE l.idx = open.base + coalesce(signed.size, 0))
    FROM logwork.head h CROSS JOIN open
    LEFT JOIN signed ON true
    LEFT JOIN logwork.frozen f ON true
    CROSS JOIN (SELECT count(*) AS waiting, min(at) AS oldest FROM logwork.pending) p
"""


@dataclass(frozen=True)
class Health:
    """The state of the log at `now` (the database's clock).

    `size` counts entries in the tree, `signed` those under the last checkpoint (None before the first), `waiting` those
    without a place in the tree; `loose_seconds` and `unsigned_seconds` are the ages of the oldest entry without a place
    and without a signature. `frozen` is the reason, if any; `contradiction` a sentence when head and checkpoint disagree.
    """

    now: datetime
    reachable: bool = True
    size: int = 0
    signed: int | None = None
    signed_at: datetime | None = None
    waiting: int = 0
    loose_seconds: float = 0.0
    unsigned_seconds: float = 0.0
    frozen: str | None = None
    contradiction: str | None = None

    @property
    def unsigned(self) -> int:
        """Entries in the tree that no checkpoint covers yet."""
        return self.size - (self.signed or 0)

    @property
    def signed_seconds(self) -> float | None:
        """Age of the last checkpoint in seconds."""
        return None if self.signed_at is None else max((self.now - self.signed_at).total_seconds(), 0.0)

    @property
    def problems(self) -> list[str]:
        """What is wrong, the gravest first, each a sentence that says what to do."""
        if not self.reachable:
            return ["The log cannot be read: the database does not answer. Nothing can be searched meanwhile."]
        found = []
        if self.contradiction is not None:
            found.append(
                f"{self.contradiction} Keep your last checkpoint and receipts, and compare them with an export."
            )
        if self.frozen is not None:
            found.append(f"The log is frozen: {self.frozen} Nothing is recorded until it is recovered.")
        if self.loose_seconds > LOOSE_AFTER_SECONDS:
            found.append(
                f"{_entries(self.waiting)} without a place in the tree, the oldest for {duration(self.loose_seconds)}. "
                "Start the sequencer and the signer."
            )
        if self.unsigned_seconds > UNSIGNED_AFTER_SECONDS:
            found.append(
                f"{_entries(self.unsigned)} without a signature, the oldest for {duration(self.unsigned_seconds)}. "
                "Start the signer; if it refuses, read what it says."
            )
        return found

    @property
    def is_healthy(self) -> bool:
        return not self.problems

    @property
    def state(self) -> State:
        """good, warn (late) or bad (frozen, contradicting itself, out of reach)."""
        if not self.problems:
            return "good"
        return "warn" if self.reachable and self.frozen is None and self.contradiction is None else "bad"

    @property
    def line(self) -> str:
        """A few words for the header, after "Log:"."""
        if not self.reachable:
            return "out of reach"
        if self.contradiction is not None:
            return "contradicts itself"
        if self.frozen is not None:
            return "frozen, nothing is recorded"
        if self.problems:
            late = max(self.loose_seconds, self.unsigned_seconds)
            return f"{_entries(self.waiting + self.unsigned)} {duration(late)} for a signature"
        seconds = self.signed_seconds
        return "nothing to sign yet" if seconds is None else f"signed {duration(seconds)} ago"


def _entries(count: int) -> str:
    return f"{count:,} {'entry waits' if count == 1 else 'entries wait'}"


def duration(seconds: float) -> str:
    """A length of time in the largest fitting unit: 4 s, 3 min, 2 h, 5 days."""
    if seconds < 60:
        return f"{int(seconds)} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min"
    if seconds < 2 * 86400:
        return f"{int(seconds // 3600)} h"
    return f"{int(seconds // 86400)} days"


def state() -> Health:
    """The state of the log now. Never raises for a database that does not answer: that is a state too."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(_QUERY)
            row = cursor.fetchone()
    except (DatabaseError, DriverError):
        return Health(now=datetime.now(UTC), reachable=False)
    assert row is not None, "the migration makes the head"
    size, root, signed, signed_root, signed_at, now, frozen, waiting, oldest, unsigned_at = row
    contradiction = None
    if signed is not None and signed > size:
        contradiction = f"A checkpoint covers {signed:,} entries, and the log has {size:,}: entries are missing."
    elif signed is not None and signed == size and bytes(signed_root) != bytes(root):
        contradiction = f"The log of {size:,} entries is not the one that was signed."
    return Health(
        now=now,
        size=size,
        signed=signed,
        signed_at=signed_at,
        waiting=waiting,
        loose_seconds=0.0 if oldest is None else (now - oldest).total_seconds(),
        unsigned_seconds=0.0 if unsigned_at is None else max(now.timestamp() - unsigned_at / 1000, 0.0),
        frozen=frozen,
        contradiction=contradiction,
    )

"""The second way out of a frozen log: it is closed for ever, and another one with a new name and a new key begins.

The old log stays in its tables and is served as it is. Entry 0 of the new one says what it succeeds and how much was lost, and
commits to everything that is still stored of it. Entries that waited go into the new log.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from audit.log import entries, recovery, storage
from audit.log.check import Refused, check_log
from audit.log.checkpoint import Checkpoint, VerifierKey
from audit.log.comparison import RUNBOOK
from audit.log.merkle import EMPTY_ROOT, Tree, leaf_hash
from audit.log.recovery import RecoveryRefusal
from audit.log.signer import KeyFiles, LogClosed, Outside, Signer, SignerRefusal, close_for_ever, nobody, remembered
from audit.log.sources import CHECKPOINT
from audit.log.tiles import Getter

# Why a log ends. Where it holds everything that is known of it, only a lost or stolen key is a reason.
CAUSES: Final = ("entries_lost", "rewritten", "key_lost", "key_stolen")
SUCCEEDED: Final = "log:origin:succeeded"
_WITHOUT_LOSS: Final = ("key_lost", "key_stolen")


def origin_name(first: str, number: int) -> str:
    """The name of the log of that number: the configured one, then …/2, …/3."""
    return first if number == 1 else f"{first}/{number}"


def directory_of(directory: Path, number: int) -> Path:
    """Where the signer keeps key and memory of the log of that number."""
    return directory if number == 1 else directory / str(number)


@dataclass(frozen=True)
class Succession:
    """What entry 0 of the log `number` says of the one before.

    `last` is its last checkpoint that the stored entries stand up to, `signed` the largest known tree, `lost` the difference:
    entries that were signed for and can no longer be shown. `kept` is the tree as it is stored.
    """

    number: int
    last: Checkpoint
    signed: tuple[int, bytes]
    kept: tuple[int, bytes]
    lost: int


def succeed(
    connection: psycopg.Connection,
    keys: Sequence[VerifierKey],
    *,
    owner: str,
    first: str,
    cause: str,
    approved_by: Sequence[uuid.UUID],
) -> Succession:
    """Closes the open log and begins the next one, in one transaction. `first` is the configured name of the logs.

    `connection` belongs to the migrate role, in autocommit; `owner` is the name of the role that owns the log. Raises
    RecoveryRefusal, and then nothing was changed.
    """
    with connection.transaction():
        connection.execute("SELECT set_config('role', %s, true)", [owner])
        size, root = recovery.locked_head(connection)
        state = recovery.frozen(connection)
        whole = _stands(connection, size, root)
        if state is None and cause not in _WITHOUT_LOSS:
            raise RecoveryRefusal("The log is not frozen: nothing outside knows more than the database. It goes on.")
        known = state.known if state is not None and state.known is not None else (size, root)
        if cause not in _WITHOUT_LOSS and whole and _holds(connection, known):
            raise RecoveryRefusal(
                "The database holds everything that is known of the log: manage.py recover_log lets it go on."
            )
        if state is None:
            connection.execute("INSERT INTO logwork.frozen (reason) VALUES (%s)", [f"Succeeded: {cause}."])
        log = storage.origin(connection)
        name = origin_name(first, log.number)
        last = _last_verifiable(connection, [key for key in keys if key.name == name], log, name)
        signed = max(known, (last.size, last.root))
        made = Succession(log.number + 1, last, signed, (size, root), signed[0] - last.size)
        entry = _entry(made, name, cause, approved_by)
        _begin(connection, made.number, entry, owner)
    return made


def _holds(connection: psycopg.Connection, known: tuple[int, bytes]) -> bool:
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM logwork.step WHERE origin = (SELECT max(number) FROM log.origin) AND size = %s AND root = %s)",
        list(known),
    ).fetchone()
    return known == (0, EMPTY_ROOT) or (row is not None and bool(row[0]))


def _stands(connection: psycopg.Connection, size: int, root: bytes) -> bool:
    """Whether the stored leaves give the root of the head. Where they do not, no copy can put that right."""
    return Tree.load(size, storage.getter(connection, size)).root() == root


def _last_verifiable(
    connection: psycopg.Connection, keys: Sequence[VerifierKey], log: storage.Origin, name: str
) -> Checkpoint:
    """The largest recorded checkpoint that the stored entries stand up to, as an outsider checks them; else the empty tree."""
    rows = connection.execute(
        "SELECT size, note FROM log.checkpoint WHERE origin = %s ORDER BY size DESC, at DESC", [log.number]
    ).fetchall()
    for size, note in rows:
        with contextlib.suppress(Refused):
            return check_log(
                _published(str(note).encode(), storage.getter(connection, int(size), log)), keys
            ).checkpoint
    return Checkpoint(name, 0, EMPTY_ROOT)


def _published(note: bytes, tiles: Getter) -> Getter:
    """A log as it is published: its checkpoint and its tiles."""
    return lambda path: note if path == CHECKPOINT else tiles(path)


def _entry(made: Succession, name: str, cause: str, approved_by: Sequence[uuid.UUID]) -> entries.Entry:
    return entries.compose(
        SUCCEEDED,
        previous=_named(name),
        number=made.number,
        size=made.last.size,
        root=made.last.root.hex(),
        signed_size=made.signed[0],
        signed_root=made.signed[1].hex(),
        lost=made.lost,
        kept=made.kept[0],
        kept_root=made.kept[1].hex(),
        cause=cause,
        approved_by=list(approved_by),
    )


def _named(origin: str) -> str:
    return hashlib.sha256(origin.encode()).hexdigest()


def _begin(connection: psycopg.Connection, number: int, entry: entries.Entry, owner: str) -> None:
    """The new log with its entry 0, before everything that waits."""
    recovery.thaw(connection)
    connection.execute(
        "INSERT INTO log.origin (number, base) SELECT %s, coalesce(max(idx) + 1, 0) FROM log.leaf", [number]
    )
    connection.execute("UPDATE logwork.head SET size = 0, root = %s", [EMPTY_ROOT])
    connection.execute("RESET ROLE")
    connection.execute("SELECT log.append_as_migrate(%s)", [entry.body])
    connection.execute("SELECT set_config('role', %s, true)", [owner])
    root = leaf_hash(entry.body)
    connection.execute("INSERT INTO logwork.step (size, root) VALUES (1, %s)", [root])
    connection.execute(
        "INSERT INTO log.leaf (idx, entry_id) SELECT o.base, e.id FROM log.origin o, log.entry e"
        " WHERE o.number = %s AND e.uid = %s",
        [number, entry.id],
    )
    connection.execute(
        "DELETE FROM logwork.pending p USING log.entry e WHERE e.id = p.entry_id AND e.uid = %s", [entry.id]
    )
    connection.execute("UPDATE logwork.head SET size = 1, root = %s", [root])
    recovery.leave_uncleared(connection)


def key_files(connection: psycopg.Connection, directory: Path, first: str) -> KeyFiles:
    """Where the signer keeps the keys of the open log. `directory` is the first one's."""
    number = storage.origin(connection).number
    return KeyFiles(directory_of(directory, number), origin_name(first, number))


@contextlib.contextmanager
def open_signer(
    connection: psycopg.Connection, directory: Path, first: str, *, archive: Path | None, outside: Outside = nobody
) -> Iterator[Signer]:
    """The signer of the log that is open in the database. Where it is a successor, the earlier ones are closed for ever first.

    Raises SignerRefusal when the database has one open that was closed, or when its entry 0 makes less of the earlier log
    than this signer has signed. `connection` is the signer's.
    """
    number = storage.origin(connection).number
    if number > 1 and not directory_of(directory, number).exists():
        _refuse_a_false_succession(connection, directory, first, number)
    for earlier in range(1, number):
        close_for_ever(directory_of(directory, earlier))
    try:
        signer = Signer(
            directory_of(directory, number),
            origin_name(first, number),
            number=number,
            archive=archive or directory / "archive",
            outside=outside,
        )
    except LogClosed as closed:
        connection.execute("SELECT logwork.freeze(%s)", [str(closed)])
        raise
    try:
        yield signer
    finally:
        signer.close()


def _refuse_a_false_succession(connection: psycopg.Connection, directory: Path, first: str, number: int) -> None:
    before = directory_of(directory, number - 1)
    signed = remembered(before)
    row = connection.execute(
        "SELECT e.body FROM log.place p JOIN log.entry e ON e.id = p.entry_id WHERE p.origin = %s AND p.index = 0",
        [number],
    ).fetchone()
    says = json.loads(bytes(row[0])) if row else {}
    true = (
        says.get("type") == SUCCEEDED
        and says["previous"] == _named(origin_name(first, number - 1))
        and says["number"] == number
        and says["signed_size"] >= signed.size
        and (says["signed_size"] > signed.size or says["signed_root"] == signed.root.hex())
    )
    if not true:
        reason = (
            f"The database says that {origin_name(first, number)} succeeds the log, but not that {signed.size:,} entries of it "
            "were signed, as this signer remembers."
        )
        connection.execute("SELECT logwork.freeze(%s)", [reason])
        raise SignerRefusal(f"{reason} Nothing is signed: go through {RUNBOOK}.")

"""The first way out of a frozen log: the exact entries that the database lost, put back at their indices.

They come from an export, a mirror or a standby that reaches at least as far as what is known of the log. Everything about
them is checked first, as an outsider checks it; then they are inserted in one transaction, whose end the database refuses unless
its tree has come to the known root. Entries that came in meanwhile keep waiting and follow behind.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from audit.log import entries, storage
from audit.log.check import Earlier, Refused, check_log
from audit.log.checkpoint import Checkpoint, SignedCheckpoint, VerifierKey
from audit.log.comparison import RUNBOOK
from audit.log.merkle import FullTile, Tree, leaf_hash
from audit.log.sources import TileSource
from audit.log.tiles import ENTRIES, TILE_WIDTH, decode_bundle, fetch, tiles_of_level


class RecoveryRefusal(RuntimeError):
    """The log is not recovered this way; the message says why and what remains."""


@dataclass(frozen=True)
class Frozen:
    """Why and when the log was frozen, and what was known of it outside then (None: the reason alone)."""

    reason: str
    at: datetime
    known: tuple[int, bytes] | None


@dataclass(frozen=True)
class Recovered:
    """`first` to `size` were put back, `types` counts them by event type; `waiting` entries follow behind them."""

    first: int
    size: int
    types: Mapping[str, int]
    waiting: int


def locked_head(connection: psycopg.Connection) -> tuple[int, bytes]:
    """Size and root of the open log, locked against the sequencer until the transaction ends."""
    row = connection.execute("SELECT size, root FROM logwork.head FOR UPDATE").fetchone()
    assert row is not None, "the migration makes the head"
    return int(row[0]), bytes(row[1])


def frozen(connection: psycopg.Connection) -> Frozen | None:
    """Why the log is frozen, None when it is not."""
    row = connection.execute("SELECT reason, at, known_size, known_root FROM logwork.frozen").fetchone()
    if row is None:
        return None
    return Frozen(row[0], row[1], None if row[2] is None else (int(row[2]), bytes(row[3])))


def thaw(connection: psycopg.Connection) -> None:
    """Inside one transaction of log_owner: lets leaves be inserted. The database checks at its end whether that was right."""
    connection.execute("DELETE FROM logwork.frozen")
    connection.execute(
        "INSERT INTO logwork.clearance (incarnation, until) VALUES (logwork.incarnation(), 'infinity')"
        " ON CONFLICT (one) DO UPDATE SET incarnation = excluded.incarnation, until = excluded.until"
    )


def leave_uncleared(connection: psycopg.Connection) -> None:
    """The signer has to compare again before anything more is sequenced."""
    connection.execute("UPDATE logwork.clearance SET until = '-infinity'")


def recover(
    connection: psycopg.Connection, source: TileSource, keys: Sequence[VerifierKey], *, owner: str
) -> Recovered:
    """Puts back what `source`, a published log, has beyond the database, and lets the log go on.

    `connection` belongs to the migrate role, in autocommit; `owner` is the name of the role that owns the log. Raises
    RecoveryRefusal, and then nothing was changed.
    """
    with connection.transaction():
        connection.execute("SELECT set_config('role', %s, true)", [owner])
        size, root = locked_head(connection)
        state = frozen(connection)
        if state is None:
            raise RecoveryRefusal("The log is not frozen: there is nothing to recover.")
        signed = _checked(source, keys, size, root, state)
        there = signed.checkpoint
        thaw(connection)
        types = _put_back(connection, source, size, signed, state) if there.size > size else Counter[str]()
        connection.execute(
            "INSERT INTO logwork.recovery (frozen_at, reason, size, root) VALUES (%s, %s, %s, %s)",
            [state.at, state.reason, there.size, there.root],
        )
        leave_uncleared(connection)
        waiting = count_waiting(connection)
        connection.execute("RESET ROLE")
        entry = entries.compose(
            "log:entries:recovered",
            first=size,
            size=there.size,
            root=there.root.hex(),
            waiting=waiting,
            frozen=int(state.at.timestamp() * 1000),
        )
        connection.execute("SELECT log.append_as_migrate(%s)", [entry.body])
    return Recovered(size, there.size, types, waiting)


def count_waiting(connection: psycopg.Connection) -> int:
    """Entries without a place in the tree."""
    row = connection.execute("SELECT count(*) FROM logwork.pending").fetchone()
    return int(row[0]) if row else 0


def _checked(
    source: TileSource, keys: Sequence[VerifierKey], size: int, root: bytes, state: Frozen
) -> SignedCheckpoint:
    """The verified checkpoint of the source: it extends the database's tree and what is known. Raises RecoveryRefusal."""
    origin = keys[-1].name
    earlier = [Earlier("the database", Checkpoint(origin, size, root))]
    if state.known is not None:
        earlier.append(Earlier("what is known of the log", Checkpoint(origin, *state.known)))
    try:
        return check_log(source.get, [key for key in keys if key.name == origin], earlier=earlier)
    except Refused as refused:
        if refused.category == "rollback":
            advice = "Bring an export that reaches further: from the board, a mirror or a standby."
        elif refused.category == "fork":
            advice = "Both cannot be true. Without another copy only a new log remains."
        else:
            advice = "Bring another copy of the log."
        raise RecoveryRefusal(f"This copy does not serve: {refused}. {advice} See {RUNBOOK}.") from refused


def _put_back(
    connection: psycopg.Connection, source: TileSource, size: int, signed: SignedCheckpoint, state: Frozen
) -> Counter[str]:
    there, log = signed.checkpoint, storage.origin(connection)
    tree = Tree.load(size, storage.getter(connection, size, log))
    full: list[FullTile] = []
    types: Counter[str] = Counter()
    leaves: list[int] = []
    for bodies in _missing(source, size, there.size):
        for body in bodies:
            full += tree.append(leaf_hash(body))
            if state.known is not None and tree.size == state.known[0] != there.size:
                _insert_step(connection, tree)
        leaves += _insert_entries(connection, bodies, types)
    _insert_step(connection, tree)
    with connection.cursor() as cursor:
        with cursor.copy("COPY log.leaf (idx, entry_id) FROM STDIN") as copy:
            for index, number in enumerate(leaves, log.base + size):
                copy.write_row((index, number))
        cursor.executemany(
            "INSERT INTO log.tile (level, n, data, root) VALUES (%s, %s, %s, %s)",
            [(tile.level, tile.n, tile.hashes, tile.root) for tile in full],
        )
    connection.execute("DELETE FROM logwork.pending WHERE entry_id = ANY(%s)", [leaves])
    connection.execute("UPDATE logwork.head SET size = %s, root = %s", [there.size, tree.root()])
    connection.execute(
        "INSERT INTO log.checkpoint (size, root, note) VALUES (%s, %s, %s)",
        [there.size, there.root, signed.note.encode().decode()],
    )
    return types


def _missing(source: TileSource, first: int, size: int) -> Iterator[list[bytes]]:
    """The entries from index `first` on, a bundle at a time."""
    for bundle in tiles_of_level(ENTRIES, size):
        start = bundle.n * TILE_WIDTH
        if start + bundle.width > first:
            bodies = decode_bundle(*fetch(source.get, bundle))[: bundle.width]
            yield bodies[max(0, first - start) :]


def _insert_step(connection: psycopg.Connection, tree: Tree) -> None:
    connection.execute("INSERT INTO logwork.step (size, root) VALUES (%s, %s)", [tree.size, tree.root()])


def _insert_entries(connection: psycopg.Connection, bodies: Sequence[bytes], types: Counter[str]) -> list[int]:
    """Numbers in log.entry of these entries, byte for byte; some may be there already and still wait for their index."""
    decoded: list[dict[str, Any]] = [json.loads(body) for body in bodies]
    types.update(fields["type"] for fields in decoded)
    unknown = set(types) - {row[0] for row in connection.execute("SELECT type FROM log.event_type").fetchall()}
    if unknown:
        raise RecoveryRefusal(f"This database does not know {', '.join(sorted(unknown))}: run manage.py migrate first.")
    uids = [uuid.UUID(fields["id"]) for fields in decoded]
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO log.entry (uid, type, request, at, body) VALUES (%s, %s, %s, %s, %s) ON CONFLICT (uid) DO NOTHING",
            [
                (uid, fields["type"], fields.get("request"), fields["at"], body)
                for uid, fields, body in zip(uids, decoded, bodies, strict=True)
            ],
        )
    there = {
        row[0]: (int(row[1]), bytes(row[2]))
        for row in connection.execute("SELECT uid, id, body FROM log.entry WHERE uid = ANY(%s)", [uids]).fetchall()
    }
    for uid, body in zip(uids, bodies, strict=True):
        if there[uid][1] != body:
            raise RecoveryRefusal(f"The database holds another entry under the id {uid}. See {RUNBOOK}.")
    return [there[uid][0] for uid in uids]

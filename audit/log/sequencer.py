"""The sequencer: gives committed entries their dense index in the tree, one step per transaction.

It consumes rows of `logwork.pending` instead of advancing a watermark, so an entry that commits late is never passed over;
`FOR UPDATE` on the head and the compare-and-swap make two sequencers at once harmless. Its own commit (synchronous) flushes
everything before it: what has a leaf is durable, whatever the appending session had set.
"""

from __future__ import annotations

import time
from typing import Final

import psycopg
import structlog

from audit.log import storage
from audit.log.merkle import Tree

log = structlog.get_logger(__name__)

STEP_LIMIT: Final = 5000
PAUSE_SECONDS: Final = 0.25
LOOSE_AFTER_SECONDS: Final = 10
LATE_AFTER_SECONDS: Final = 60


class Frozen(RuntimeError):
    """The log is frozen, because more is known of it outside than this database holds. Nothing is sequenced."""


class TreeMismatch(RuntimeError):
    """The stored leaves do not give the root of the stored head: somebody changed the log. Nothing more is sequenced."""


def step(connection: psycopg.Connection, limit: int = STEP_LIMIT) -> int:
    """Puts up to `limit` pending entries into the tree; returns how many. `connection` is in autocommit mode.

    None while the signer has not cleared this database (`is_cleared`): they wait. Raises Frozen, and TreeMismatch when the
    right edge, re-hashed from the leaves, is not what the head says.
    """
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = on")
        head = cursor.execute("SELECT size, root FROM logwork.head FOR UPDATE").fetchone()
        assert head is not None, "the migration makes the head"
        size, root = int(head[0]), bytes(head[1])
        frozen = cursor.execute("SELECT reason FROM logwork.frozen").fetchone()
        if frozen is not None:
            raise Frozen(f"The log is frozen: {frozen[0]}")
        if not is_cleared(connection):
            return 0
        rows = cursor.execute(
            "SELECT p.entry_id, e.leaf_hash, e.at FROM logwork.pending p JOIN log.entry e ON e.id = p.entry_id"
            " ORDER BY p.entry_id LIMIT %s",
            [limit],
        ).fetchall()
        if not rows:
            return 0
        open_log = storage.origin(connection)
        tree = Tree.load(size, storage.getter(connection, size, open_log))
        if tree.root() != root:
            raise TreeMismatch(f"The stored leaves do not give the root of the head at size {size}.")
        late = time.time() * 1000 - min(int(at) for _, _, at in rows)
        if late > LATE_AFTER_SECONDS * 1000:
            # Somebody held a transaction open: the entry's time is older than its neighbours' by that much.
            log.error("an entry was committed late", seconds=round(late / 1000))
        full = tree.extend(bytes(leaf) for _, leaf, _ in rows)
        cursor.execute("INSERT INTO logwork.step (size, root) VALUES (%s, %s)", [tree.size, tree.root()])
        with cursor.copy("COPY log.leaf (idx, entry_id) FROM STDIN") as copy:
            for offset, (entry_id, _, _) in enumerate(rows):
                copy.write_row((open_log.base + size + offset, entry_id))
        for tile in full:
            cursor.execute(
                "INSERT INTO log.tile (level, n, data, root) VALUES (%s, %s, %s, %s)",
                [tile.level, tile.n, tile.hashes, tile.root],
            )
        cursor.execute("DELETE FROM logwork.pending WHERE entry_id = ANY(%s)", [[entry_id for entry_id, _, _ in rows]])
        moved = cursor.execute(
            "UPDATE logwork.head SET size = %s, root = %s WHERE size = %s", [tree.size, tree.root(), size]
        ).rowcount
        if moved != 1:
            raise TreeMismatch("The head moved under the lock of this step.")
        return len(rows)


def is_cleared(connection: psycopg.Connection) -> bool:
    """Whether the signer has lately compared this database, as it runs now, with what is known of the log outside."""
    row = connection.execute("SELECT logwork.is_cleared()").fetchone()
    return row is not None and bool(row[0])


def loose(connection: psycopg.Connection) -> int:
    """Entries that wait for the sequencer longer than they should: more than 0 is an alarm."""
    row = connection.execute(
        "SELECT count(*) FROM logwork.pending WHERE at < clock_timestamp() - make_interval(secs => %s)",
        [LOOSE_AFTER_SECONDS],
    ).fetchone()
    return int(row[0]) if row else 0

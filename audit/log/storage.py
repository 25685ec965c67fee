"""Tiles, bundles and receipts out of the database: only full tiles are stored, everything else is derived from leaves.

So any published size can be served again byte for byte, and nothing that is stored ever changes.
"""

from __future__ import annotations

import contextlib
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import psycopg

from audit.log import verifier_keys
from audit.log.checkpoint import NoteError, VerifierKey, open_checkpoint
from audit.log.merkle import Prover
from audit.log.proof import Receipt
from audit.log.tiles import ENTRIES, TILE_WIDTH, Getter, Tile, encode_bundle, parse_tile_path, paths_for


@dataclass(frozen=True)
class Origin:
    """One of the logs of this installation, counted from 1: `base` is the number in log.leaf of its entry 0."""

    number: int
    base: int


_MOST: Final = 1_000  # logs; a number from outside must fit into the database's integer


class NotCovered(LookupError):
    """The entry is not under a signed checkpoint yet: there is no receipt."""


def origin(connection: psycopg.Connection, number: int | None = None) -> Origin:
    """The log of that number, the open one when None. Raises LookupError."""
    if number is not None and number > _MOST:
        raise LookupError(f"There is no log number {number} here.")
    row = connection.execute(
        "SELECT number, base FROM log.origin WHERE number = coalesce(%s::integer, number) ORDER BY number DESC LIMIT 1",
        [number],
    ).fetchone()
    if row is None:
        raise LookupError(f"There is no log number {number} here.")
    return Origin(int(row[0]), int(row[1]))


def read_tile(connection: psycopg.Connection, tile: Tile, of: Origin | None = None) -> bytes:
    """The bytes of one tile or bundle, of the open log when not said. Raises LookupError where it does not reach so far."""
    log = of or origin(connection)
    first, last = tile.n * TILE_WIDTH, tile.n * TILE_WIDTH + tile.width
    if tile.level == ENTRIES or tile.level == 0:
        column = "e.body" if tile.level == ENTRIES else "e.leaf_hash"
        rows = connection.execute(
            f"SELECT {column} FROM log.leaf l JOIN log.entry e ON e.id = l.entry_id"  # noqa: S608 - one of two names
            " WHERE l.idx >= %s AND l.idx < %s ORDER BY l.idx",
            [log.base + first, log.base + last],
        ).fetchall()
    else:
        rows = connection.execute(
            "SELECT root FROM log.tile WHERE origin = %s AND level = %s AND n >= %s AND n < %s ORDER BY n",
            [log.number, int(tile.level) - 1, first, last],
        ).fetchall()
    if len(rows) != tile.width:
        raise LookupError(f"the log has no {tile.path}")
    values = [bytes(row[0]) for row in rows]
    return encode_bundle(values) if tile.level == ENTRIES else b"".join(values)


def getter(connection: psycopg.Connection, size: int, of: Origin | None = None) -> Getter:
    """Maps the path of a tile of the tree of `size` entries to its bytes."""
    log = of or origin(connection)

    def get(path: str) -> bytes:
        return read_tile(connection, parse_tile_path(path), log)

    return get


def latest_checkpoint(
    connection: psycopg.Connection, keys: Sequence[VerifierKey] | None = None, of: Origin | None = None
) -> tuple[int, bytes] | None:
    """Size and note of the largest checkpoint that verifies under `keys` (the published ones when None), or None.
    Of the open log when not said.

    Whoever has the signer's database password, but not its key, can record a note; it is passed over here.
    """
    trusted = verifier_keys.published() if keys is None else list(keys)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT size, note FROM log.checkpoint WHERE origin = coalesce(%s, (SELECT max(number) FROM log.origin))"
            " ORDER BY size DESC, at DESC LIMIT 50",
            [of.number if of else None],
        )
        for size, note in cursor:
            with contextlib.suppress(NoteError):
                if open_checkpoint(str(note).encode(), trusted).checkpoint.size == size:
                    return int(size), str(note).encode()
    return None


def entry_body(connection: psycopg.Connection, entry: uuid.UUID) -> bytes:
    """The canonical bytes of an entry. Raises LookupError."""
    row = connection.execute("SELECT body FROM log.entry WHERE uid = %s", [entry]).fetchone()
    if row is None:
        raise LookupError("There is no such entry in the log.")
    return bytes(row[0])


def receipt(connection: psycopg.Connection, entry: uuid.UUID, keys: Sequence[VerifierKey] | None = None) -> Receipt:
    """The receipt of an entry under the latest verified checkpoint. Raises NotCovered."""
    row = connection.execute(
        "SELECT l.index, l.origin FROM log.place l JOIN log.entry e ON e.id = l.entry_id WHERE e.uid = %s", [entry]
    ).fetchone()
    log = origin(connection, row[1]) if row else None
    latest = latest_checkpoint(connection, keys, log)
    if row is None or latest is None or int(row[0]) >= latest[0]:
        raise NotCovered("This entry is not in the signed log yet. Try again in a few seconds.")
    size, note = latest
    index = int(row[0])
    return Receipt(index, tuple(Prover(size, getter(connection, size, log)).inclusion(index)), note)


def published_files(
    connection: psycopg.Connection, of: Origin | None = None
) -> tuple[int, Iterator[tuple[str, bytes]]]:
    """The size of the log up to its latest checkpoint, and its files as C2SP tlog-tiles: path and bytes of each. Of the
    open log when not said.

    The checkpoint comes last, so that a copy that was cut short has none and is not taken for a log. Raises NotCovered
    when nothing is signed yet.
    """
    log = of or origin(connection)
    latest = latest_checkpoint(connection, of=log)
    if latest is None:
        raise NotCovered("The log has no signed checkpoint yet: start the sequencer and the signer.")
    size, note = latest

    def files() -> Iterator[tuple[str, bytes]]:
        for tile in paths_for(size):
            yield tile.path, read_tile(connection, tile, log)
        yield "checkpoint", note

    return size, files()


def export(connection: psycopg.Connection, directory: Path, of: Origin | None = None) -> int:
    """Writes the log up to its latest checkpoint into an empty or new `directory`; returns the size. The open log when
    not said.

    Raises NotCovered when nothing is signed yet, FileExistsError when the directory holds something.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise FileExistsError(f"{directory} is not empty. Name a new directory.")
    size, files = published_files(connection, of)
    for name, data in files:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return size


def export_zip(
    connection: psycopg.Connection, file: Path, beside: Callable[[int], Mapping[str, bytes]], of: Origin | None = None
) -> int:
    """Writes the same files into one new zip file, those that `beside` names for the log's size among them; returns the size.

    Raises NotCovered when nothing is signed yet, FileExistsError when the file is there.
    """
    if file.exists():
        raise FileExistsError(f"{file} is there already. Name a new file.")
    size, files = published_files(connection, of)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.draft")
    try:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in chain(beside(size).items(), files):
                archive.writestr(name, data)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    return size

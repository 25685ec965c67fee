"""Tiles, bundles and receipts out of the database: only full tiles are stored, everything else is derived from leaves.

So any published size can be served again byte for byte, and nothing that is stored ever changes.
"""

from __future__ import annotations

import contextlib
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

import psycopg

from audit.log import verifier_keys, witness_policy
from audit.log.checkpoint import (
    MAX_SIZE,
    NoteError,
    Signature,
    SignedCheckpoint,
    VerifierKey,
    cosignatures,
    cosigned_at,
    open_checkpoint,
)
from audit.log.merkle import Prover
from audit.log.policy import Policy
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
    """Size and note of the checkpoint that is published, or None: the largest one that the configured policy is met by.

    It carries the cosignatures. Without a policy it is the largest that the log signed. Of the open log when not said. Raises
    NoPolicy, NoVerifierKey.
    """
    policy = witness_policy.configured()
    if policy is None:
        return signed_checkpoint(connection, keys, of)
    trusted = verifier_keys.published() if keys is None else list(keys)
    found = cosigned_checkpoint(connection, trusted, policy, of)
    return None if found is None else (found.checkpoint.size, found.note.encode())


def signed_checkpoint(
    connection: psycopg.Connection, keys: Sequence[VerifierKey] | None = None, of: Origin | None = None
) -> tuple[int, bytes] | None:
    """Size and note of the largest checkpoint that verifies under `keys` (the published ones when None), or None.
    Of the open log when not said.

    Whoever has the signer's database password, but not its key, can record a note; it is passed over here.
    """
    trusted = verifier_keys.published() if keys is None else list(keys)
    number = (of or origin(connection)).number
    # Page by page, however many others were recorded above it: that must not hide it.
    last: tuple[int, Any] = (MAX_SIZE, "infinity")
    while rows := connection.execute(_NOTES, [number, *last, _PAGE]).fetchall():
        for size, at, note in rows:
            last = (int(size), at)
            with contextlib.suppress(NoteError):
                if open_checkpoint(str(note).encode(), trusted).checkpoint.size == size:
                    return int(size), str(note).encode()
    return None


def cosigned_checkpoint(
    connection: psycopg.Connection, keys: Sequence[VerifierKey], policy: Policy, of: Origin | None = None
) -> SignedCheckpoint | None:
    """The largest checkpoint signed by the log's `keys` that meets `policy`, with the cosignatures under it; or None.
    Of the open log when not said.

    Whoever has the witness client's database password can record lines that no witness signed; they are passed over.
    """
    log = of or origin(connection)
    if policy.fewest == 0:
        latest = signed_checkpoint(connection, keys, log)
        return None if latest is None else _with_cosignatures(connection, open_checkpoint(latest[1], keys), policy, log)
    vkeys, size = [str(key) for key in policy.keys], MAX_SIZE
    while True:
        rows = connection.execute(_SIZES_COSIGNED, [log.number, vkeys, size, policy.fewest, _PAGE]).fetchall()
        for (size,) in rows:
            for signed in _signed_at(connection, size, keys, log):
                cosigned = _with_cosignatures(connection, signed, policy, log)
                if policy.met(cosignatures(cosigned.note, policy.keys)):
                    return cosigned
        if len(rows) < _PAGE:
            return None


# Sizes of checkpoints that may meet a policy, the largest first: SQL counts, what the lines are worth is seen afterwards.
_SIZES_COSIGNED: Final = (
    "SELECT size FROM log.cosignature WHERE origin = %s AND witness = ANY(%s) AND size < %s GROUP BY size"
    " HAVING count(DISTINCT witness) >= %s ORDER BY size DESC LIMIT %s"
)
_NOTES: Final = (
    "SELECT size, at, note FROM log.checkpoint WHERE origin = %s AND (size, at) < (%s, %s::timestamptz)"
    " ORDER BY size DESC, at DESC LIMIT %s"
)
_PAGE: Final = 20


def _signed_at(
    connection: psycopg.Connection, size: int, keys: Sequence[VerifierKey], log: Origin
) -> Iterator[SignedCheckpoint]:
    rows = connection.execute(
        "SELECT note FROM log.checkpoint WHERE origin = %s AND size = %s ORDER BY at DESC", [log.number, size]
    ).fetchall()
    for (note,) in rows:
        with contextlib.suppress(NoteError):
            signed = open_checkpoint(str(note).encode(), keys)
            if signed.checkpoint.size == size:
                yield signed


def _with_cosignatures(
    connection: psycopg.Connection, signed: SignedCheckpoint, policy: Policy, log: Origin
) -> SignedCheckpoint:
    """With the newest right line of each witness."""
    checkpoint = signed.checkpoint
    rows = connection.execute(
        "SELECT line FROM log.cosignature WHERE origin = %s AND size = %s AND root = %s AND witness = ANY(%s)"
        " ORDER BY cosigned DESC",
        [log.number, checkpoint.size, checkpoint.root, [str(key) for key in policy.keys]],
    ).fetchall()
    newest: dict[VerifierKey, Signature] = {}
    for (text,) in rows:
        with contextlib.suppress(NoteError):
            line = Signature.parse(str(text))
            for key in policy.keys:
                if key not in newest and (line.name, line.key_id) == (key.name, key.key_id):
                    cosigned_at(signed.note.text, key, line)
                    newest[key] = line
    lines = [newest[key] for key in policy.keys if key in newest]
    return replace(signed, note=signed.note.with_signatures(*lines))


def quorum_waived(connection: psycopg.Connection, keys: Sequence[VerifierKey] | None = None) -> bool:
    """Whether the gate's policy lets searches go on without a quorum now: so many minutes after it was last met."""
    policy = witness_policy.configured()
    row = connection.execute("SELECT grace_minutes FROM logwork.quorum").fetchone()
    if policy is None or row is None or row[0] == 0:
        return False
    found = cosigned_checkpoint(connection, verifier_keys.published() if keys is None else keys, policy)
    if found is None:
        return False
    since = policy.met_since(cosignatures(found.note, policy.keys))
    # A witness whose clock is ahead does not make the time longer.
    return since is not None and time.time() - min(since, time.time()) < int(row[0]) * 60


def entry_body(connection: psycopg.Connection, entry: uuid.UUID) -> bytes:
    """The canonical bytes of an entry. Raises LookupError."""
    row = connection.execute("SELECT body FROM log.entry WHERE uid = %s", [entry]).fetchone()
    if row is None:
        raise LookupError("There is no such entry in the log.")
    return bytes(row[0])


def receipt(
    connection: psycopg.Connection,
    entry: uuid.UUID,
    keys: Sequence[VerifierKey] | None = None,
    *,
    signed_only: bool = False,
) -> Receipt:
    """The receipt of an entry under the published checkpoint; `signed_only`: under the last one that the log signed.

    Raises NotCovered.
    """
    row = connection.execute(
        "SELECT l.index, l.origin FROM log.place l JOIN log.entry e ON e.id = l.entry_id WHERE e.uid = %s", [entry]
    ).fetchone()
    log = origin(connection, row[1]) if row else None
    latest = (signed_checkpoint if signed_only else latest_checkpoint)(connection, keys, log)
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
        if witness_policy.configured() is not None:
            raise NotCovered("No quorum of witnesses has cosigned the log yet: start the witness client.")
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

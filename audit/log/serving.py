"""The signed log over HTTP: what a request for a path of tlog-tiles is answered with, and nothing beyond the checkpoint.

The published log ends at its last signed checkpoint (with a witness policy: the last one that a quorum cosigned): a tile
that reaches further is not there yet, whatever the tree holds. Inside it every width is served, so every size that ever had a checkpoint can be checked again (C2SP tlog-tiles).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import psycopg

from audit.log import storage
from audit.log.tiles import ENTRIES, TILE_WIDTH, MalformedTile, Tile, parse_tile_path

CHECKPOINT_TYPE: Final = "text/plain; charset=utf-8"
TILE_TYPE: Final = "application/octet-stream"
# A checkpoint is the newest one or it is worth nothing; a tile never changes.
CHECKPOINT_CACHING: Final = "no-store"
TILE_CACHING: Final = "max-age=31536000, immutable"


class NotServed(LookupError):
    """There is nothing at this path: no tile of that name, or the signed log does not reach so far."""


@dataclass(frozen=True)
class Served:
    """One answer: its bytes and its headers Content-Type and Cache-Control."""

    body: bytes
    content_type: str
    caching: str


def tile_at(path: str) -> Tile:
    """The tile that a path (`tile/…`) names. Raises NotServed."""
    try:
        return parse_tile_path(path)
    except MalformedTile as error:
        raise NotServed(str(error)) from None


def checkpoint(connection: psycopg.Connection, of: storage.Origin | None = None) -> Served:
    """The published checkpoint with its cosignatures, of the open log when not said.

    Raises NotServed before the first, NoVerifierKey without the log's public key.
    """
    latest = storage.latest_checkpoint(connection, of=of)
    if latest is None:
        raise NotServed("the log has no signed checkpoint yet")
    return Served(latest[1], CHECKPOINT_TYPE, CHECKPOINT_CACHING)


def tile(connection: psycopg.Connection, wanted: Tile, *, shared: bool, of: storage.Origin | None = None) -> Served:
    """One tile or bundle, of the open log when not said. `shared` lets caches between reader and server keep it; entries are never left with them.

    Raises NotServed where the signed log does not reach, NoVerifierKey without the log's public key.
    """
    if not is_published(wanted, published_size(connection, of)):
        raise NotServed(f"the signed log has no {wanted.path}")
    scope = "public" if shared and wanted.level != ENTRIES else "private"
    return Served(storage.read_tile(connection, wanted, of), TILE_TYPE, f"{scope}, {TILE_CACHING}")


def published_size(connection: psycopg.Connection, of: storage.Origin | None = None) -> int:
    """The number of entries under the published checkpoint, of the open log when not said."""
    latest = storage.latest_checkpoint(connection, of=of)
    return 0 if latest is None else latest[0]


def is_published(wanted: Tile, size: int) -> bool:
    """Whether a log of `size` entries has this tile, whole or as a part of what it has."""
    hashes = size if wanted.level == ENTRIES else size >> 8 * int(wanted.level)
    return wanted.n * TILE_WIDTH + wanted.width <= hashes

"""Where the log's hashes and entries lie: C2SP tlog-tiles of height 8.

    tile/<level>/<n>[.p/<width>]     width x 32 bytes: hashes number n*256 ... of that level
    tile/entries/<n>[.p/<width>]     width entries, each a big-endian u16 length and its bytes

Level 0 holds leaf hashes, the levels above hold the roots of the full tiles below. A full tile has 256 hashes and no
`.p` suffix; it never changes. A partial tile serves one size of the log only and may be gone once the full one exists.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

HASH_SIZE = 32
TILE_WIDTH = 256
MAX_ENTRY_SIZE = 0xFFFF
MAX_BUNDLE_SIZE = TILE_WIDTH * (2 + MAX_ENTRY_SIZE)
MAX_LEVEL = 63

ENTRIES: Literal["entries"] = "entries"
Level = int | Literal["entries"]
Getter = Callable[[str], bytes]  # path -> bytes; raises LookupError for a path that does not exist

_LEVEL = r"(entries|[0-9]|[1-5][0-9]|6[0-3])"
_PATH = re.compile(rf"tile/{_LEVEL}/((?:x[0-9]{{3}}/)*[0-9]{{3}})(?:\.p/([1-9][0-9]{{0,2}}))?", re.ASCII)


class Missing(LookupError):
    """A tile that the log should have is not there."""


class MalformedTile(ValueError):
    """A tile, bundle or tile path does not have the form it must have."""


class Tile(NamedTuple):
    """One tile or entry bundle: `n` counts tiles of the level from 0, `width` is 1..256 hashes or entries."""

    level: Level
    n: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        return tile_path(self.level, self.n, self.width)


def tile_path(level: Level, n: int, width: int = TILE_WIDTH) -> str:
    """Relative path of a tile. Raises MalformedTile for numbers that no tile has."""
    if level != ENTRIES and not 0 <= level <= MAX_LEVEL:
        raise MalformedTile(f"there is no tile level {level}")
    if n < 0 or not 1 <= width <= TILE_WIDTH:
        raise MalformedTile(f"there is no tile number {n} of width {width}")
    groups = f"{n % 1000:03d}"
    while n >= 1000:
        n //= 1000
        groups = f"x{n % 1000:03d}/{groups}"
    return f"tile/{level}/{groups}" + (f".p/{width}" if width < TILE_WIDTH else "")


def parse_tile_path(path: str) -> Tile:
    """The tile that `path` names. Raises MalformedTile unless `tile_path` writes exactly this path."""
    found = _PATH.fullmatch(path)
    if found is None or len(path) > 60:
        raise MalformedTile(f"{path[:80]!r} is not the path of a tile")
    level, groups, width = found.groups()
    tile = Tile(
        ENTRIES if level == ENTRIES else int(level),
        int(groups.replace("x", "").replace("/", "")),
        int(width) if width else TILE_WIDTH,
    )
    # Catches superfluous leading groups (x000/001) and widths of 256 and more.
    if not (width is None or tile.width < TILE_WIDTH) or tile.path != path:
        raise MalformedTile(f"{path!r} is not the path of a tile")
    return tile


def tiles_of_level(level: Level, size: int) -> Iterator[Tile]:
    """The tiles (or bundles) of one level in a log of `size` entries: all full ones, then the partial one."""
    hashes = size if level == ENTRIES else size >> 8 * level
    full, rest = divmod(hashes, TILE_WIDTH)
    for n in range(full):
        yield Tile(level, n)
    if rest:
        yield Tile(level, full, rest)


def paths_for(size: int) -> Iterator[Tile]:
    """Every tile and bundle that must exist for a checkpoint of `size` entries: bundles first, then level by level."""
    yield from tiles_of_level(ENTRIES, size)
    level = 0
    while size >> 8 * level:
        yield from tiles_of_level(level, size)
        level += 1


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Raises MalformedTile for more than 256 entries or one of more than 65,535 bytes."""
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_SIZE:
            raise MalformedTile(f"an entry of {len(entry)} bytes is too long for a bundle")
        parts.append(struct.pack(">H", len(entry)) + entry)
    if len(parts) > TILE_WIDTH:
        raise MalformedTile(f"{len(parts)} entries are too many for a bundle")
    return b"".join(parts)


def split_bundle(data: bytes) -> tuple[list[bytes], int]:
    """The whole entries at the start of `data`, and how many bytes after them form no whole entry."""
    entries: list[bytes] = []
    at, end = 0, len(data)
    while at + 2 <= end:
        after = at + 2 + (data[at] << 8 | data[at + 1])
        if after > end:
            break
        entries.append(data[at + 2 : after])
        at = after
    return entries, end - at


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """The `width` entries of a bundle. Raises MalformedTile if there are more, fewer, or bytes left over."""
    entries, rest = split_bundle(data)
    if rest:
        raise MalformedTile(f"the bundle breaks off inside its entry number {len(entries)}")
    if len(entries) != width:
        raise MalformedTile(f"the bundle holds {len(entries)} entries instead of {width}")
    return entries


def fetch(get: Getter, tile: Tile) -> tuple[bytes, int]:
    """Bytes of `tile` and the width they have: 256 where a partial tile is gone and the full one stands in for it.

    Raises Missing where neither exists.
    """
    for width in (tile.width, TILE_WIDTH):
        try:
            return get(tile_path(tile.level, tile.n, width)), width
        except LookupError:
            continue
    raise Missing(f"{tile.path} is missing")


def fetch_hashes(get: Getter, tile: Tile) -> bytes:
    """The `tile.width` hashes of a hash tile, joined. Raises Missing, or MalformedTile for a wrong length."""
    data, width = fetch(get, tile)
    if len(data) != width * HASH_SIZE:
        raise MalformedTile(f"{tile.path} holds {len(data)} bytes instead of {width * HASH_SIZE}")
    return data[: tile.width * HASH_SIZE]


def split_hashes(data: bytes) -> list[bytes]:
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]

"""The Merkle tree of RFC 6962 (RFC 9162, section 2.1) over SHA-256: build it, prove from it, check proofs.

leaf   SHA-256(0x00 || entry)
node   SHA-256(0x01 || left || right), split at the largest power of two below the number of leaves
empty  SHA-256("")
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from audit.log.tiles import HASH_SIZE, TILE_WIDTH, Getter, Tile, fetch_hashes, split_hashes

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Root over 1, 2, 4, ... neighbouring hashes of one level."""
    sha256 = hashlib.sha256
    while len(hashes) > 1:
        hashes = [sha256(b"\1" + hashes[i] + hashes[i + 1]).digest() for i in range(0, len(hashes), 2)]
    return hashes[0]


class FullTile(NamedTuple):
    """A tile that has just been filled: `hashes` (8192 bytes) and their `root`, which is the next level's hash."""

    level: int
    n: int
    hashes: bytes
    root: bytes


class Tree:
    """The right edge of a growing tree: for each tile level the hashes of its unfinished tile (at most 255)."""

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[list[bytes]] = []

    @classmethod
    def load(cls, size: int, get: Getter) -> Tree:
        """The tree of `size` entries from its partial tiles, to go on with.

        Nothing is authenticated: compare `root()` with a root you trust. Raises Missing or MalformedTile.
        """
        tree = cls()
        tree.size = size
        level = 0
        while size >> 8 * level:
            n, width = divmod(size >> 8 * level, TILE_WIDTH)
            tree._edge.append(split_hashes(fetch_hashes(get, Tile(level, n, width))) if width else [])
            level += 1
        return tree

    def copy(self) -> Tree:
        twin = Tree()
        twin.size, twin._edge = self.size, [list(hashes) for hashes in self._edge]
        return twin

    def append(self, leaf: bytes) -> list[FullTile]:
        """Adds one leaf hash; returns the tiles that it filled, lowest level first (mostly none)."""
        filled: list[FullTile] = []
        self.size += 1
        hash_, level = leaf, 0
        while True:
            if level == len(self._edge):
                self._edge.append([])
            edge = self._edge[level]
            edge.append(hash_)
            if len(edge) < TILE_WIDTH:
                return filled
            hash_ = perfect_root(edge)
            filled.append(FullTile(level, (self.size >> 8 * (level + 1)) - 1, b"".join(edge), hash_))
            self._edge[level] = []
            level += 1

    def extend(self, leaves: Iterable[bytes]) -> list[FullTile]:
        """As `append`, for several leaf hashes."""
        return [tile for leaf in leaves for tile in self.append(leaf)]

    def partial_tiles(self) -> list[tuple[Tile, bytes]]:
        """The unfinished tiles of this size with their hashes joined, lowest level first; empty ones left out."""
        return [
            (Tile(level, self.size >> 8 * (level + 1), len(hashes)), b"".join(hashes))
            for level, hashes in enumerate(self._edge)
            if hashes
        ]

    def root(self) -> bytes:
        """RFC 6962 root of the whole tree."""
        peaks: list[bytes] = []  # perfect subtrees, largest first
        for hashes in reversed(self._edge):
            at = 0
            for k in reversed(range(8)):
                if len(hashes) >> k & 1:
                    peaks.append(perfect_root(hashes[at : at + (1 << k)]))
                    at += 1 << k
        if not peaks:
            return EMPTY_ROOT
        root = peaks.pop()
        while peaks:
            root = node_hash(peaks.pop(), root)
        return root


def _split(size: int) -> int:
    """The largest power of two below `size` (>= 2)."""
    return 1 << (size - 1).bit_length() - 1


class Prover:
    """Proofs in a tree of `size` entries, made from its tiles.

    `get` maps a tile path to its bytes and raises LookupError where there is none. Tiles are believed as they are: a
    proof made from false tiles fails its check. All methods raise Missing or MalformedTile on unusable tiles, and
    ValueError for numbers outside the tree.
    """

    def __init__(self, size: int, get: Getter) -> None:
        self.size = size
        self._get = get
        # One proof asks for the same few tiles again and again; 64 of them take half a megabyte.
        self._hashes = lru_cache(maxsize=64)(self._read)
        # Proofs of neighbours have nearly all of their hashes in common.
        self._range_root = lru_cache(maxsize=4096)(self._root_of)

    def _read(self, level: int, n: int) -> list[bytes]:
        width = min(TILE_WIDTH, (self.size >> 8 * level) - n * TILE_WIDTH)
        return split_hashes(fetch_hashes(self._get, Tile(level, n, width)))

    def _root_of(self, start: int, end: int) -> bytes:
        """Root of the entries start..end-1, a subtree of the RFC's recursion."""
        count = end - start
        if count & (count - 1) == 0:
            level, height = divmod(count.bit_length() - 1, 8)
            n, at = divmod(start >> 8 * level, TILE_WIDTH)
            return perfect_root(self._hashes(level, n)[at : at + (1 << height)])
        middle = start + _split(count)
        return node_hash(self._range_root(start, middle), self._range_root(middle, end))

    def root(self, size: int | None = None) -> bytes:
        """Root of the first `size` entries (all of them when None)."""
        size = self.size if size is None else size
        if not 0 <= size <= self.size:
            raise ValueError(f"size {size} is outside a log of {self.size}")
        return self._range_root(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int) -> list[bytes]:
        """Audit path of entry `index` (RFC 6962, 2.1.1): the leaf's sibling first, the root's child last."""
        if not 0 <= index < self.size:
            raise ValueError(f"entry {index} is outside a log of {self.size}")
        path: list[bytes] = []
        start, end = 0, self.size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._range_root(middle, end))
                end = middle
            else:
                path.append(self._range_root(start, middle))
                start = middle
        return path[::-1]

    def consistency(self, old: int) -> list[bytes]:
        """Proof that the first `old` entries are a prefix of this tree (RFC 6962, 2.1.2); empty for 0 and for all."""
        if not 0 <= old <= self.size:
            raise ValueError(f"size {old} is outside a log of {self.size}")
        if old in (0, self.size):
            return []
        proof: list[bytes] = []
        start, end = 0, self.size
        while old != end:
            middle = start + _split(end - start)
            if old <= middle:
                proof.append(self._range_root(middle, end))
                end = middle
            else:
                proof.append(self._range_root(start, middle))
                start = middle
        if start:  # else the old tree is a perfect left subtree, whose root the verifier has
            proof.append(self._range_root(start, end))
        return proof[::-1]


def _are_hashes(*hashes: bytes) -> bool:
    return all(len(value) == HASH_SIZE for value in hashes)


def verify_inclusion(*, leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows the leaf hash `leaf` at `index` in the tree of `size` under `root` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size or not _are_hashes(leaf, root, *proof):
        return False
    node, last, value = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            value = node_hash(sibling, value)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            value = node_hash(value, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and value == root


def verify_consistency(*, old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether `proof` shows that the tree of `new` entries extends the one of `old` (RFC 9162, 2.1.4.2).

    As the witness protocol has it, every tree extends the empty one, and equal sizes need equal roots; both with an
    empty proof.
    """
    if not 0 <= old <= new or not _are_hashes(old_root, new_root, *proof):
        return False
    if (old == 0 and old_root != EMPTY_ROOT) or (new == 0 and new_root != EMPTY_ROOT):
        return False
    if old == 0:
        return not proof
    if old == new:
        return not proof and old_root == new_root
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not proof:
        return False
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old_value = new_value = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old_value, new_value = node_hash(sibling, old_value), node_hash(sibling, new_value)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            new_value = node_hash(new_value, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old_value == old_root and new_value == new_root

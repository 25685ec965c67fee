"""Small logs for tests: entries that the vocabulary allows, published as the files of tlog-tiles."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.log.checkpoint import COSIGNATURE, ED25519, Checkpoint, Note, VerifierKey, cosign, sign
from audit.log.merkle import Prover, leaf_hash, perfect_root
from audit.log.proof import Receipt
from audit.log.tiles import ENTRIES, encode_bundle, parse_tile_path, paths_for

ORIGIN = "log.example.org/glasscase"


def entry(number: int, **changes: Any) -> bytes:
    """Entry `number` of a log, the same in every run; `changes` replaces fields."""
    fields = {
        "v": 1,
        "type": "log:entries:viewed",
        "id": str(uuid.UUID(int=number)),
        "at": 1_800_000_000_000 + number,
        "nonce": f"{number:032x}",
        "first": number,
        "last": number + 10,
    }
    return json.dumps(fields | changes, sort_keys=True, separators=(",", ":")).encode()


def entries(count: int) -> list[bytes]:
    return [entry(number) for number in range(count)]


def rfc_root(leaves: Sequence[bytes]) -> bytes:
    """The definition of RFC 6962, 2.1, word for word: what the product's tree is compared with."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + rfc_root(leaves[:k]) + rfc_root(leaves[k:])).digest()


@dataclass(frozen=True)
class Key:
    """A key pair from a seed: for tests only."""

    name: str = ORIGIN
    seed: int = 1
    algorithm: int = ED25519

    @cached_property
    def private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed.to_bytes(32, "big"))

    @cached_property
    def public(self) -> VerifierKey:
        return VerifierKey(self.name, self.algorithm, self.private.public_key().public_bytes_raw())

    def cosign(self, note: Note, time: int) -> Note:
        return note.with_signatures(cosign(note.text, self.public, self.private, time=time))


def witness(seed: int) -> Key:
    return Key(f"witness{seed}.example.org", 100 + seed, COSIGNATURE)


class HashTiles:
    """The hash tiles of every size of one tree; `get` makes each from the leaf hashes alone."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.levels = [list(leaves)]
        while len(below := self.levels[-1]) >= 256:
            self.levels.append([perfect_root(below[i : i + 256]) for i in range(0, len(below) // 256 * 256, 256)])

    def get(self, path: str) -> bytes:
        tile = parse_tile_path(path)
        assert isinstance(tile.level, int)
        hashes = self.levels[tile.level][tile.n * 256 : tile.n * 256 + tile.width]
        assert len(hashes) == tile.width
        return b"".join(hashes)


@dataclass
class Log:
    """A log of `bodies` and what its operator publishes."""

    bodies: list[bytes]
    key: Key = field(default_factory=Key)

    def __post_init__(self) -> None:
        self.leaves = [leaf_hash(body) for body in self.bodies]
        self.tiles = HashTiles(self.leaves)

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        size = len(self.bodies) if size is None else size
        return Checkpoint(ORIGIN, size, rfc_root(self.leaves[:size]))

    def note(self, size: int | None = None) -> Note:
        text = self.checkpoint(size).text
        return Note(text, (sign(text, self.key.public, self.key.private),))

    def files(self, size: int | None = None) -> dict[str, bytes]:
        """Path -> bytes of everything published for a checkpoint of `size` entries."""
        size = len(self.bodies) if size is None else size
        files = {"checkpoint": self.note(size).encode()}
        for tile in paths_for(size):
            if tile.level == ENTRIES:
                start = tile.n * 256
                files[tile.path] = encode_bundle(self.bodies[start : start + tile.width])
            else:
                files[tile.path] = self.tiles.get(tile.path)
        return files

    def receipt(self, index: int, size: int | None = None) -> Receipt:
        size = len(self.bodies) if size is None else size
        proof = Prover(size, self.tiles.get).inclusion(index)
        return Receipt(index, tuple(proof), self.note(size).encode())


def write(files: dict[str, bytes], folder: Path) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder

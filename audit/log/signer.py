"""The signer: a process of its own with its key and its own durable memory of what it signed.

Before it signs it proves to itself that the new tree extends the last one it signed, and it has written the new state to
disk before the signature exists: a database that was restored, rewritten or cut gets no signature.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Final

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from audit.log import storage
from audit.log.checkpoint import ED25519, Checkpoint, Note, NoteError, VerifierKey, open_checkpoint, sign
from audit.log.merkle import EMPTY_ROOT, Prover, verify_consistency

PAUSE_SECONDS: Final = 0.25


class SignerRefusal(RuntimeError):
    """The tree does not extend the last signed one: nothing is signed and the log has to be looked at."""


@dataclass(frozen=True)
class Signed:
    """What was signed last: the signer's own memory."""

    size: int
    root: bytes


class Signer:
    """Signs checkpoints of one log with the key and the state in `directory` (mode 0700).

    One process at a time holds the directory's lock. Raises SignerRefusal from `step` as described there.
    """

    def __init__(self, directory: Path, origin: str) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self.origin = origin
        self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            flock(self._lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise SignerRefusal("Another signer is running with this key.") from None
        self._private = self._load_key()
        # Public: workers verify receipts with it, and nobody else in this directory may be read.
        if not (directory / "vkey").exists():
            self._write(directory / "vkey", f"{self.key}\n".encode())

    def close(self) -> None:
        os.close(self._lock)

    def _load_key(self) -> Ed25519PrivateKey:
        path = self.directory / "key"
        with contextlib.suppress(FileNotFoundError):
            return Ed25519PrivateKey.from_private_bytes(path.read_bytes())
        if (self.directory / "state.json").exists():
            raise SignerRefusal("The signer's state is here but its key is not: restore the key from its backup.")
        private = Ed25519PrivateKey.generate()
        self._write(path, private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
        return private

    @property
    def key(self) -> VerifierKey:
        """The public half, as others verify it."""
        public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return VerifierKey(self.origin, ED25519, public)

    def remembered(self) -> Signed:
        """The last signed tree; the empty one before the first signature."""
        try:
            state = json.loads((self.directory / "state.json").read_text())
        except FileNotFoundError:
            return Signed(0, EMPTY_ROOT)
        return Signed(int(state["size"]), bytes.fromhex(state["root"]))

    def _remember(self, signed: Signed) -> None:
        state = {"origin": self.origin, "size": signed.size, "root": signed.root.hex()}
        self._write(self.directory / "state.json", json.dumps(state).encode())

    def _write(self, path: Path, data: bytes) -> None:
        draft = path.with_name(f".{path.name}.draft")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        folder = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def step(self, connection: psycopg.Connection) -> int | None:
        """Signs the tree when it has grown (or when its checkpoint was lost); returns the signed size, else None.

        Raises SignerRefusal when the tree is smaller than, or inconsistent with, what was signed before.
        """
        row = connection.execute("SELECT size, root FROM logwork.head").fetchone()
        assert row is not None, "the migration makes the head"
        size, root = int(row[0]), bytes(row[1])
        last = self.remembered()
        if size < last.size:
            raise SignerRefusal(f"The log has {size} entries, but {last.size} were signed: it was cut or restored.")
        if size == last.size and root != last.root:
            raise SignerRefusal(f"The log of {size} entries is not the one that was signed: it was rewritten.")
        if size == 0 or (size == last.size and self._is_recorded(connection, size)):
            return None
        if size > last.size and last.size > 0:
            proof = Prover(size, storage.getter(connection, size)).consistency(last.size)
            if not verify_consistency(old=last.size, new=size, proof=proof, old_root=last.root, new_root=root):
                raise SignerRefusal(f"The log of {size} entries does not extend the {last.size} signed before.")
        if size > last.size and Prover(size, storage.getter(connection, size)).root() != root:
            raise SignerRefusal(f"The stored leaves do not give the root of the head at size {size}.")
        text = Checkpoint(self.origin, size, root).text
        self._remember(Signed(size, root))
        note = Note(text, ()).with_signatures(sign(text, self.key, self._private)).encode().decode()
        connection.execute("INSERT INTO log.checkpoint (size, root, note) VALUES (%s, %s, %s)", [size, root, note])
        return size

    def _is_recorded(self, connection: psycopg.Connection, size: int) -> bool:
        notes = connection.execute("SELECT note FROM log.checkpoint WHERE size = %s", [size]).fetchall()
        return any(self._is_own(str(note).encode()) for (note,) in notes)

    def _is_own(self, note: bytes) -> bool:
        try:
            open_checkpoint(note, [self.key])
        except NoteError:
            return False
        return True


@contextlib.contextmanager
def open_signer(directory: Path, origin: str) -> Iterator[Signer]:
    """A signer whose lock is released at the end."""
    signer = Signer(directory, origin)
    try:
        yield signer
    finally:
        signer.close()

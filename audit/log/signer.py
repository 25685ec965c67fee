"""The signer: a process of its own with its keys and its own durable memory of what it signed.

Before it signs it proves to itself that the new tree extends everything that is known of the log outside the database:
its own memory, the archive of published checkpoints, and what witnesses hold. A database that was restored, rewritten or
cut gets no signature and is frozen. For the same reason it is the signer that clears the database for sequencing, a
few seconds at a time: without that no entry gets a place in the tree, so none takes one that was signed for before.

The order of a signature: memory (on disk), signature, archive (on disk), database. Killed anywhere in between, the next
step makes the same signature again.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Final

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from audit.log import approval_watch, comparison, storage
from audit.log.archive import Archive
from audit.log.check import Earlier
from audit.log.checkpoint import ED25519, Checkpoint, Note, NoteError, VerifierKey, open_checkpoint, sign
from audit.log.comparison import RUNBOOK
from audit.log.merkle import EMPTY_ROOT, Prover
from core import state

PAUSE_SECONDS: Final = 0.25
# How long a clearance lasts, and how often the database is compared with memory and archive, and cleared again.
CLEARANCE_SECONDS: Final = 30
COMPARE_SECONDS: Final = 5.0
# How often witnesses are asked what they know, after the first step, which always asks.
OUTSIDE_SECONDS: Final = 60.0

Outside = Callable[[Sequence[VerifierKey]], Iterable[Earlier]]


def nobody(keys: Sequence[VerifierKey]) -> Iterable[Earlier]:
    """Where there are no witnesses, nobody outside knows anything."""
    return ()


class SignerRefusal(RuntimeError):
    """The tree does not extend what is known of it: nothing is signed and the log has to be looked at."""


class LogFrozen(SignerRefusal):
    """The log is frozen: nothing is signed until somebody has gone through the runbook."""


class LogClosed(SignerRefusal):
    """This log was succeeded by another one and is never signed again."""


@dataclass(frozen=True)
class Signed:
    """What was signed last: the signer's own memory. `archived` is a size whose checkpoint is in the archive."""

    size: int
    root: bytes
    archived: int = 0


@dataclass(frozen=True)
class SigningKey:
    """A private key and its public half, as others verify it."""

    private: Ed25519PrivateKey
    public: VerifierKey

    @classmethod
    def of(cls, raw: bytes, origin: str) -> SigningKey:
        private = Ed25519PrivateKey.from_private_bytes(raw)
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return cls(private, VerifierKey(origin, ED25519, public))


def new_key() -> bytes:
    """The 32 bytes of a new private key."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())


@dataclass(frozen=True)
class KeyFiles:
    """Where the keys of a log are: `key` signs, `key.next` signs as well while a key is being replaced.

    `vkey` has their public halves (workers verify receipts with it), `retired` those that once were.
    """

    directory: Path
    origin: str

    @property
    def current(self) -> Path:
        return self.directory / "key"

    @property
    def next(self) -> Path:
        return self.directory / "key.next"

    @property
    def public(self) -> Path:
        return self.directory / "vkey"

    @property
    def retired(self) -> Path:
        return self.directory / "retired"

    def load(self) -> tuple[SigningKey, ...]:
        """The keys that sign now, the oldest first. Raises FileNotFoundError before the first."""
        keys = [SigningKey.of(self.current.read_bytes(), self.origin)]
        with contextlib.suppress(FileNotFoundError):
            keys.append(SigningKey.of(self.next.read_bytes(), self.origin))
        # Between the two reads the next key may have become the current one.
        return tuple({key.public: key for key in keys}.values())

    def public_half(self, raw: bytes) -> VerifierKey:
        """The public half of a private key of this log."""
        return SigningKey.of(raw, self.origin).public

    def load_retired(self) -> list[VerifierKey]:
        """The keys that signed once and do no more: what the archive holds of them still counts."""
        try:
            lines = self.retired.read_text(encoding="utf-8").split()
        except FileNotFoundError:
            return []
        return [VerifierKey.parse(line) for line in lines]


class Signer:
    """Signs checkpoints of one log with the keys and the state in `directory` (mode 0700).

    `number` counts the logs of this installation (audit.log.succession); `archive` is the directory of published checkpoints
    (beside the keys when None); `outside` tells what others know of the log. One process at a time holds the directory's lock. Raises SignerRefusal from `step` as described there.
    """

    def __init__(
        self,
        directory: Path,
        origin: str,
        *,
        number: int = 1,
        archive: Path | None = None,
        outside: Outside = nobody,
    ) -> None:
        if _closed(directory).exists():
            raise LogClosed(
                f"The log {origin} was succeeded by another one and is never signed again, but the database has it open."
            )
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self.origin = origin
        self.number = number
        self._files = KeyFiles(directory, origin)
        self._archive = Archive(archive or directory / "archive", origin)
        self._outside = outside
        self._known_outside: tuple[Earlier, ...] = ()
        self._asked_outside: float | None = None
        self._compared: float | None = None
        self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            flock(self._lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise SignerRefusal("Another signer is running with this key.") from None
        if not self._files.current.exists():
            self._make_first_key()
        self._load_keys()
        self._archived = self.remembered().archived

    def close(self) -> None:
        os.close(self._lock)

    def _make_first_key(self) -> None:
        if (self.directory / "state.json").exists():
            raise SignerRefusal("The signer's state is here but its key is not: restore the key from its backup.")
        state.write_durably(self._files.current, new_key())

    def _load_keys(self) -> None:
        self._keys = self._files.load()
        # Public: nobody else in this directory may be read.
        lines = "".join(f"{key}\n" for key in self.keys).encode()
        if not self._files.public.exists() or self._files.public.read_bytes() != lines:
            state.write_durably(self._files.public, lines, mode=0o644)

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """The public halves of the keys that sign now: two while one is being replaced, the older first."""
        return tuple(key.public for key in self._keys)

    @property
    def key(self) -> VerifierKey:
        """The public half of the key that signs now, of two the older."""
        return self._keys[0].public

    def remembered(self) -> Signed:
        """The last signed tree; the empty one before the first signature."""
        return remembered(self.directory)

    def _remember(self, signed: Signed) -> None:
        kept = {"origin": self.origin, "size": signed.size, "root": signed.root.hex(), "archived": signed.archived}
        state.write_durably(self.directory / "state.json", json.dumps(kept).encode())

    def step(self, connection: psycopg.Connection) -> int | None:
        """Compares, clears, and signs the tree when it has grown or its checkpoint was lost; the signed size, else None.

        Raises SignerRefusal when the log is frozen; and, after freezing it, when its tree does not extend what is known.
        """
        self._load_keys()
        _refuse_frozen(connection)
        row = connection.execute("SELECT size, root, (SELECT max(number) FROM log.origin) FROM logwork.head").fetchone()
        assert row is not None, "the migration makes the head"
        size, root = int(row[0]), bytes(row[1])
        if row[2] != self.number:
            raise SignerRefusal(
                f"The database has log number {row[2]} open, and this signer signs number {self.number}."
            )
        self._compare(connection, size, root)
        last = self.remembered()
        text = Checkpoint(self.origin, size, root).text
        if size == 0 or (size == last.size and self._is_recorded(connection, size, text)):
            return None
        approval_watch.dispute_wrong(connection, first=last.size, size=size)
        self._remember(Signed(size, root, self._archived))
        note = Note(text).with_signatures(*(sign(text, key.public, key.private) for key in self._keys)).encode()
        self._archive.keep(size, note)
        self._archived = size
        connection.execute(
            "INSERT INTO log.checkpoint (size, root, note) VALUES (%s, %s, %s)", [size, root, note.decode()]
        )
        return size

    def _compare(self, connection: psycopg.Connection, size: int, root: bytes) -> None:
        """Memory at every step; archive and witnesses at the first and every few seconds, and then clears the database."""
        now = time.monotonic()
        due = self._compared is None or now - self._compared >= COMPARE_SECONDS
        last = self.remembered()
        known = [Earlier("the signer's memory", Checkpoint(self.origin, last.size, last.root))]
        if due:
            if (archived := self._largest_archived(last)) is not None:
                known.append(Earlier(f"the archive of checkpoints in {self._archive.directory}", archived))
            known += self._ask_outside(now)
        found = comparison.first_contradiction(
            size=size, root=root, get=storage.getter(connection, size), known=dict.fromkeys(known)
        )
        if found is not None:
            held = found.known.checkpoint
            connection.execute("SELECT logwork.freeze(%s, %s, %s)", [found.reason, held.size, held.root])
            raise SignerRefusal(f"{found.reason} The log is frozen: go through {RUNBOOK}.")
        if size > last.size and Prover(size, storage.getter(connection, size)).root() != root:
            raise SignerRefusal(f"The stored leaves do not give the root of the head at size {size}.")
        if not due:
            return
        largest = max((earlier.checkpoint for earlier in known), key=lambda held: held.size)
        if largest.size > last.size:
            # A signer that was restored alone learns again what it signed, from what it signed.
            self._remember(Signed(largest.size, largest.root, last.archived))
        connection.execute("SELECT logwork.clear(%s, %s, %s)", [size, root, CLEARANCE_SECONDS])
        self._compared = now

    def _largest_archived(self, last: Signed) -> Checkpoint | None:
        signed = self._archive.largest(self._all_keys())
        if (signed.checkpoint.size if signed else 0) < last.archived:
            raise SignerRefusal(
                f"The archive of checkpoints in {self._archive.directory} lacks the one of {last.archived:,} entries, which "
                "was put there. Mount the right archive, or copy its files back."
            )
        return signed.checkpoint if signed else None

    def _all_keys(self) -> list[VerifierKey]:
        return [*self.keys, *self._files.load_retired()]

    def _ask_outside(self, now: float) -> tuple[Earlier, ...]:
        """What witnesses know. At the first step one of them has to answer; later what they said before is enough."""
        if self._asked_outside is None or now - self._asked_outside >= OUTSIDE_SECONDS:
            try:
                self._known_outside = tuple(self._outside(self._all_keys()))
            except OSError:
                if self._asked_outside is None:
                    raise
            self._asked_outside = now
        return self._known_outside

    def _is_recorded(self, connection: psycopg.Connection, size: int, text: str) -> bool:
        """Whether the checkpoint of `size` entries is in the database, signed by every key that signs now."""
        notes = connection.execute(
            "SELECT note FROM log.checkpoint WHERE origin = %s AND size = %s", [self.number, size]
        ).fetchall()
        return any(self._is_own(str(note).encode(), text) for (note,) in notes)

    def _is_own(self, note: bytes, text: str) -> bool:
        try:
            signed = open_checkpoint(note, self.keys)
        except NoteError:
            return False
        return signed.note.text == text and set(signed.signers) == set(self.keys)


def remembered(directory: Path) -> Signed:
    """What the signer whose state is in `directory` signed last; the empty tree before the first signature."""
    try:
        kept = json.loads((directory / "state.json").read_text())
    except FileNotFoundError:
        return Signed(0, EMPTY_ROOT)
    return Signed(int(kept["size"]), bytes.fromhex(kept["root"]), int(kept.get("archived", 0)))


def _closed(directory: Path) -> Path:
    return directory / "closed"


def close_for_ever(directory: Path) -> None:
    """No signer opens this directory again. Harmless to repeat."""
    with contextlib.suppress(FileExistsError):
        state.create_durably(_closed(directory), b"succeeded by another log\n")


def _refuse_frozen(connection: psycopg.Connection) -> None:
    frozen = connection.execute("SELECT reason FROM logwork.frozen").fetchone()
    if frozen is not None:
        raise LogFrozen(f"The log is frozen: {frozen[0]} Go through {RUNBOOK}.")


@contextlib.contextmanager
def open_signer(
    directory: Path, origin: str, *, archive: Path | None = None, outside: Outside = nobody
) -> Iterator[Signer]:
    """A signer whose lock is released at the end."""
    signer = Signer(directory, origin, archive=archive, outside=outside)
    try:
        yield signer
    finally:
        signer.close()

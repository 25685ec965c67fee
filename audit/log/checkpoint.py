"""Signed notes, verifier keys, checkpoints and cosignatures, as C2SP writes them down.

    note         text ending in a newline, an empty line, signature lines   (c2sp.org/signed-note)
    line         "— " name " " base64(key id || signature)
    vkey         name "+" hex(key id) "+" base64(type || public key)
    checkpoint   a note whose text is origin, size and base64 root, a line each   (c2sp.org/tlog-checkpoint)
    cosignature  a witness's line: key id || u64 time || signature over time and text   (c2sp.org/tlog-cosignature)

Parsing is strict: whatever is not exactly what the encoder writes is refused, so no byte can be changed unnoticed.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from audit.log import ed25519
from audit.log.tiles import HASH_SIZE

ED25519 = 0x01
COSIGNATURE = 0x04  # Ed25519 cosignature/v1
_KEY_ID_SIZE = 4
_TIME_SIZE = 8

MAX_NOTE_SIZE = 1_000_000
MAX_SIGNATURES = 100
MAX_SIZE = 2**63 - 1

_NAME = re.compile(r"[^\s+\x00-\x1f\ud800-\udfff]+")  # no lone surrogates: an argument of the shell may hold some
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_VKEY = re.compile(r"([^+]+)\+([0-9a-f]{8})\+(.+)", re.DOTALL)


class NoteError(ValueError):
    """A note, key or checkpoint does not have the form it must have."""


class SignatureError(NoteError):
    """A needed signature is missing, or one by a known key is wrong."""


class Signer(Protocol):
    """Whatever holds an Ed25519 private key: `cryptography`'s object, a key agent, a hardware module."""

    def sign(self, data: bytes, /) -> bytes: ...


def encode_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def decode_base64(text: str) -> bytes:
    """Standard base64 with padding, in the one way the encoder writes it. Raises NoteError."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise NoteError(f"{text[:60]!r} is not base64") from None
    if encode_base64(data) != text:
        raise NoteError(f"{text[:60]!r} is not canonical base64")
    return data


def decode_hash(text: str) -> bytes:
    """A base64 line that holds one 32-byte hash. Raises NoteError."""
    data = decode_base64(text)
    if len(data) != HASH_SIZE:
        raise NoteError(f"{text[:60]!r} is not a hash of {HASH_SIZE} bytes")
    return data


def decode_number(text: str) -> int:
    """A decimal number 0..2^63-1 without leading zeros. Raises NoteError."""
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_SIZE:
        raise NoteError(f"{text[:60]!r} is not a size or index")
    return int(text)


@dataclass(frozen=True)
class VerifierKey:
    """A public key with the name it signs under. `algorithm` is ED25519 (a log) or COSIGNATURE (a witness)."""

    name: str
    algorithm: int
    public_key: bytes

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise NoteError(f"{self.name[:60]!r} is not the name of a key")
        if self.algorithm not in (ED25519, COSIGNATURE):
            raise NoteError(f"the key of {self.name!r} is of type {self.algorithm}, which is not supported")
        if not ed25519.is_public_key(self.public_key):
            raise NoteError(f"the key of {self.name!r} is no Ed25519 key that signatures can be trusted under")

    @property
    def key_id(self) -> bytes:
        typed = bytes([self.algorithm]) + self.public_key
        return hashlib.sha256(self.name.encode() + b"\n" + typed).digest()[:_KEY_ID_SIZE]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the key as it is written (64 hex digits): what log entries name it by."""
        return hashlib.sha256(str(self).encode()).hexdigest()

    @classmethod
    def parse(cls, vkey: str) -> VerifierKey:
        """Raises NoteError for anything but a vkey of a supported type with the right key id."""
        found = _VKEY.fullmatch(vkey)
        if found is None:
            raise NoteError(f"{vkey[:80]!r} is not a verifier key (name+id+key)")
        name, key_id, encoded = found.groups()
        typed = decode_base64(encoded)
        key = cls(name, typed[0] if typed else 0, typed[1:])
        if key.key_id.hex() != key_id:
            raise NoteError(f"the key of {name!r} does not have the id {key_id}")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes([self.algorithm]) + self.public_key)}"


@dataclass(frozen=True)
class Signature:
    """One signature line: `data` is what follows the key id."""

    name: str
    key_id: bytes
    data: bytes

    @classmethod
    def parse(cls, line: str) -> Signature:
        """A line without its newline. Raises NoteError."""
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "—" or not _NAME.fullmatch(parts[1]):
            raise NoteError("a signature line is malformed")
        data = decode_base64(parts[2])
        if len(data) <= _KEY_ID_SIZE:
            raise NoteError("a signature line is too short")
        return cls(parts[1], data[:_KEY_ID_SIZE], data[_KEY_ID_SIZE:])

    def __str__(self) -> str:
        return f"— {self.name} {encode_base64(self.key_id + self.data)}\n"


@dataclass(frozen=True)
class Note:
    """A text (ending in a newline) and its signatures, nothing of it verified yet."""

    text: str
    signatures: tuple[Signature, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """Raises NoteError. The last empty line parts text and signatures; at least one signature must be there."""
        if len(data) > MAX_NOTE_SIZE:
            raise NoteError("the note is too long")
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError:
            raise NoteError("the note is not UTF-8") from None
        if _CONTROL.search(whole):
            raise NoteError("the note holds a control character")
        text, parted, lines = whole.rpartition("\n\n")
        if not parted or not lines.endswith("\n"):
            raise NoteError("the note has no signature lines")
        signatures = lines[:-1].split("\n")
        if len(signatures) > MAX_SIGNATURES:
            raise NoteError("the note has too many signatures")
        return cls(text + "\n", tuple(Signature.parse(line) for line in signatures))

    def encode(self) -> bytes:
        return (self.text + "\n" + "".join(map(str, self.signatures))).encode()

    def with_signatures(self, *signatures: Signature) -> Note:
        """The same note with more signature lines at its end."""
        return replace(self, signatures=self.signatures + signatures)

    def by(self, key: VerifierKey) -> list[Signature]:
        """The lines that claim to be by `key`. Lines by keys that nobody asks for are thereby ignored."""
        key_id = key.key_id
        return [line for line in self.signatures if line.name == key.name and line.key_id == key_id]


@dataclass(frozen=True)
class Checkpoint:
    """The tree head: the log's name, its number of entries, the RFC 6962 root over them."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()  # Glasscase writes none; other software may sign them differently

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """The text of a note. Raises NoteError."""
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() != "" or not all(lines):
            raise NoteError("the checkpoint needs an origin, a size and a root, a line each")
        origin, size, root, *extensions = lines
        return cls(origin, decode_number(size), decode_hash(root), tuple(extensions))

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in (self.origin, self.size, encode_base64(self.root), *self.extensions))


@dataclass(frozen=True)
class SignedCheckpoint:
    """A checkpoint whose signature by the log was verified. `signers` are those of the asked keys that signed it."""

    checkpoint: Checkpoint
    note: Note
    signers: tuple[VerifierKey, ...]


def sign(text: str, key: VerifierKey, signer: Signer) -> Signature:
    """The log's signature of a note's text. `signer` holds the private half of `key`, of type ED25519."""
    return Signature(key.name, key.key_id, signer.sign(text.encode()))


def cosign(text: str, key: VerifierKey, signer: Signer, *, time: int) -> Signature:
    """A witness's cosignature of a checkpoint's text at `time` (Unix seconds), `key` being of type COSIGNATURE."""
    return Signature(key.name, key.key_id, time.to_bytes(_TIME_SIZE, "big") + signer.sign(_cosigned(text, time)))


def _cosigned(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def open_checkpoint(data: bytes, keys: Iterable[VerifierKey]) -> SignedCheckpoint:
    """Parses a signed checkpoint and verifies what the log's `keys` signed (several while a key is being replaced).

    At least one of the keys must have signed, under the checkpoint's origin as its name; every line that claims to be
    by one of them must be right; all other lines are ignored. Raises NoteError for a wrong form, SignatureError.
    """
    note = Note.parse(data)
    checkpoint = Checkpoint.parse(note.text)
    signers: list[VerifierKey] = []
    wanted = dict.fromkeys(keys)
    for key in wanted:
        if key.algorithm != ED25519:
            raise SignatureError(f"the key of {key.name!r} is a witness's, not a log's")
        for line in note.by(key):
            if not ed25519.verify(key.public_key, note.text.encode(), line.data):
                raise SignatureError(f"the signature by {key.name!r} is wrong")
            if key not in signers:
                signers.append(key)
    if not signers:
        raise SignatureError("the checkpoint carries no signature by a key that was given")
    if any(key.name != checkpoint.origin for key in signers):
        raise SignatureError(f"the checkpoint is of the log {checkpoint.origin!r}, but the key is of another log")
    return SignedCheckpoint(checkpoint, note, tuple(signers))


def cosigned_at(text: str, key: VerifierKey, line: Signature) -> int:
    """When the witness of `key` cosigned the checkpoint of `text` by this line (Unix seconds). Raises SignatureError."""
    if key.algorithm != COSIGNATURE:
        raise SignatureError(f"the key of {key.name!r} is a log's, not a witness's")
    time = int.from_bytes(line.data[:_TIME_SIZE], "big")
    if time > MAX_SIZE or not ed25519.verify(key.public_key, _cosigned(text, time), line.data[_TIME_SIZE:]):
        raise SignatureError(f"the cosignature by {key.name!r} is wrong")
    return time


def cosignatures(note: Note, witnesses: Sequence[VerifierKey]) -> dict[VerifierKey, int]:
    """When each of `witnesses` cosigned `note` (Unix seconds, the latest line of each); those that did not are absent.

    A line that is wrong counts for nothing, as one by a key that nobody asks for: it is no reason to disbelieve the log,
    whose own signature is checked apart. Raises SignatureError for a key that is no witness's.
    """
    times: dict[VerifierKey, int] = {}
    for key in witnesses:
        if key.algorithm != COSIGNATURE:
            raise SignatureError(f"the key of {key.name!r} is a log's, not a witness's")
        for line in note.by(key):
            with contextlib.suppress(SignatureError):
                times[key] = max(cosigned_at(note.text, key, line), times.get(key, 0))
    return times

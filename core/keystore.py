"""The key store: one key per record, in a file outside PostgreSQL with a short backup window of its own.

What the keys seal lies in the database or in files; destroying a key is the erasure of everything that it sealed, also in
old backups of the database. SQLite with `secure_delete`, so that a destroyed key is overwritten in the file.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class KeyMissing(LookupError):
    """There is no such key: it was never made, or the record was erased."""


class Unsealable(ValueError):
    """The sealed bytes were not made with this key for this purpose, or were changed."""


def _path() -> Path:
    return Path(settings.GLASSCASE_HOME) / "keys" / "keystore.sqlite3"


@contextmanager
def _store() -> Iterator[sqlite3.Connection]:
    path = _path()
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Owner-only from the first byte on.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS key (id TEXT PRIMARY KEY, secret BLOB NOT NULL)")
        yield connection


def create(record: uuid.UUID) -> bytes:
    """A new random key for `record` (32 bytes), on disk when this returns; the same key when there is one already."""
    with _store() as connection:
        connection.execute("INSERT OR IGNORE INTO key VALUES (?, ?)", (str(record), secrets.token_bytes(KEY_BYTES)))
        return _read(connection, record)


def keep(record: uuid.UUID, make: Callable[[], bytes]) -> bytes:
    """The secret of `record`, which `make` makes when there is none yet: for keys that are more than random bytes."""
    with _store() as connection:
        try:
            return _read(connection, record)
        except KeyMissing:
            connection.execute("INSERT OR IGNORE INTO key VALUES (?, ?)", (str(record), make()))
            return _read(connection, record)


def create_many(records: list[uuid.UUID]) -> dict[uuid.UUID, bytes]:
    """Keys for many records in one write."""
    with _store() as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT OR IGNORE INTO key VALUES (?, ?)",
            [(str(record), secrets.token_bytes(KEY_BYTES)) for record in records],
        )
        found = {record: _read(connection, record) for record in records}
        connection.execute("COMMIT")
        return found


def _read(connection: sqlite3.Connection, record: uuid.UUID) -> bytes:
    row = connection.execute("SELECT secret FROM key WHERE id = ?", (str(record),)).fetchone()
    if row is None:
        raise KeyMissing(f"There is no key of record {record}: the record was erased or never sealed.")
    return bytes(row[0])


def get(record: uuid.UUID) -> bytes:
    """The key of `record`. Raises KeyMissing."""
    with _store() as connection:
        return _read(connection, record)


def destroy(record: uuid.UUID) -> bool:
    """Erases the key of `record`; says whether there was one."""
    with _store() as connection:
        return connection.execute("DELETE FROM key WHERE id = ?", (str(record),)).rowcount == 1


def destroy_many(records: Iterable[uuid.UUID]) -> int:
    """Erases the keys of many records in one write; returns how many there were."""
    with _store() as connection:
        connection.execute("BEGIN IMMEDIATE")
        gone = connection.executemany("DELETE FROM key WHERE id = ?", [(str(record),) for record in records]).rowcount
        connection.execute("COMMIT")
        return max(gone, 0)


def backup(to: Path) -> int:
    """Writes every key into the new file `to`, whole and on disk when this returns; says how many there are."""
    os.close(os.open(to, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with _store() as connection, closing(sqlite3.connect(to)) as copy:
        # Row by row: a copy of the pages would also hold what lies in freed ones.
        copy.execute("CREATE TABLE key (id TEXT PRIMARY KEY, secret BLOB NOT NULL)")
        rows = connection.execute("SELECT id, secret FROM key").fetchall()
        copy.executemany("INSERT INTO key VALUES (?, ?)", rows)
        copy.commit()
    return len(rows)


def _subkey(secret: bytes, purpose: str) -> AESGCM:
    return AESGCM(HKDF(SHA256(), KEY_BYTES, None, b"glasscase/v1 " + purpose.encode()).derive(secret))


def seal(secret: bytes, purpose: str, clear: bytes) -> bytes:
    """AES-256-GCM under a key derived (HKDF-SHA256) from `secret` for `purpose`: nonce (12 bytes) + sealed bytes."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + _subkey(secret, purpose).encrypt(nonce, clear, purpose.encode())


def unseal(secret: bytes, purpose: str, sealed: bytes) -> bytes:
    """The clear bytes. Raises Unsealable when key, purpose or bytes are not those of `seal`."""
    try:
        return _subkey(secret, purpose).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], purpose.encode())
    except InvalidTag:
        raise Unsealable("The sealed value does not open with this key.") from None

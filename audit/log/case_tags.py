"""Tags of search entries: what only this installation can compute for a case number, and anybody can check once told.

The key stands in the key store, outside PostgreSQL; its hash is announced in the log before the first tag under it. How a tag
is made and checked: `audit.log.absence`.
"""

from __future__ import annotations

import secrets
import uuid
from functools import lru_cache
from typing import Final

import psycopg
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from audit.log import absence, rsa, storage
from core import database, keystore

KEYED: Final = absence.KEYED
_BITS: Final = 3072  # case numbers stay secret for as long as courts keep records
_RECORD: Final = uuid.uuid5(uuid.NAMESPACE_OID, "glasscase key of case tags")

_announced: set[tuple[str, int, str]] = (
    set()
)  # database, number of the log and key hash that this process knows to be in it
# A log that succeeds another one is checked alone: the key is announced in each of them.
_ANNOUNCED: Final = (
    "SELECT FROM log.entry e LEFT JOIN log.place p ON p.entry_id = e.id WHERE e.type = %s"
    " AND convert_from(e.body, 'UTF8')::jsonb ->> 'key' = %s AND coalesce(p.origin, %s) = %s"
)


def _fresh() -> bytes:
    key = generate_private_key(rsa.EXPONENT, _BITS)
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


@lru_cache(maxsize=2)
def _load(der: bytes) -> RSAPrivateKey:
    # What the key store holds was made here: checking it again would cost more than the signature.
    key = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, RSAPrivateKey)
    return key


def _key() -> RSAPrivateKey:
    return _load(keystore.keep(_RECORD, _fresh))


def modulus() -> int:
    """The public half of the key, which is made when there is none."""
    return _key().public_key().public_numbers().n


def key_hash() -> str:
    """What the key is announced as."""
    return rsa.key_hash(modulus())


def roots() -> list[int]:
    """What shows others that the key is fit (`rsa.is_fit`)."""
    numbers = _key().private_numbers()
    return [pow(each, numbers.d, numbers.public_numbers.n) for each in rsa.challenges(numbers.public_numbers.n)]


def sign(number: str, nonce: str) -> bytes:
    """The signature that shows what the tag of an entry with this nonce says: of this case number (canonical), or not."""
    return _key().sign(absence.message(number, nonce), PKCS1v15(), SHA256())


def fields(number: str) -> dict[str, str]:
    """Nonce, tag and key hash of a new search entry about a case number in its canonical form."""
    nonce = secrets.token_hex(16)
    return {"nonce": nonce, "case_tag": absence.tag(sign(number, nonce)), "case_key": key_hash()}


def is_announced() -> bool:
    """Whether the open log has, or is about to take, the entry that announces the present key."""
    digest, number = key_hash(), storage.origin(database.session()).number
    known = (database.database_name(), number, digest)
    if known not in _announced:
        if not is_in(database.session(), digest):
            return False
        _announced.add(known)
    return True


def is_in(connection: psycopg.Connection, digest: str) -> bool:
    """Whether the open log of this database has, or is about to take, the entry that announces the key with this hash."""
    number = storage.origin(connection).number
    return connection.execute(_ANNOUNCED, [KEYED, digest, number, number]).fetchone() is not None

"""Salted commitments: what a log entry says about a personal value without saying it.

commitment = SHA-256("glasscase/v1" 0x00 field 0x00 salt canonical-JSON(value)), one fresh 32-byte salt per field, so that
a field can be opened alone (selective disclosure as in RFC 9901) and guessing a value needs its salt.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any, Final

import rfc8785

SALT_BYTES: Final = 32
_PREFIX: Final = b"glasscase/v1\0"


def commit(field: str, salt: bytes, value: Any) -> str:
    """The commitment to a JSON value, as 64 hex digits. The database computes the same in `log.commitment`."""
    return hashlib.sha256(_PREFIX + field.encode() + b"\0" + salt + rfc8785.dumps(value)).hexdigest()


@dataclass(frozen=True)
class Opening:
    """What opens one commitment: the field's value and the salt. Kept in the vault, never in the log."""

    field: str
    salt: bytes
    value: Any

    @classmethod
    def of(cls, field: str, value: Any) -> Opening:
        return cls(field, secrets.token_bytes(SALT_BYTES), value)

    @property
    def commitment(self) -> str:
        return commit(self.field, self.salt, self.value)

    def encode(self) -> bytes:
        """Canonical JSON of the opening; this is what `glasscase-verify --opening` reads once a field is disclosed."""
        return rfc8785.dumps({"field": self.field, "salt": self.salt.hex(), "value": self.value})

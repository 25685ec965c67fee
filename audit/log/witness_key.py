"""A witness's private key: one line of text, in the form that Go's note package writes.

    PRIVATE+KEY+<name>+<hex key id>+<base64(type || seed)>

Needs Python alone.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Final

from audit.log import ed25519
from audit.log.checkpoint import COSIGNATURE, NoteError, VerifierKey, decode_base64, encode_base64

_PREFIX: Final = "PRIVATE+KEY+"
_SEED_SIZE: Final = 32


@dataclass(frozen=True)
class WitnessKey:
    """The key of the witness called `name`; its text form is a secret."""

    name: str
    seed: bytes = field(repr=False)

    @classmethod
    def generate(cls, name: str) -> WitnessKey:
        """Raises NoteError for what cannot be the name of a key."""
        made = cls(name, secrets.token_bytes(_SEED_SIZE))
        _ = made.public
        return made

    @classmethod
    def parse(cls, text: str) -> WitnessKey:
        """Raises NoteError, which does not show the key."""
        parts = text.removesuffix("\n").removeprefix(_PREFIX).split("+", 2)
        if not text.startswith(_PREFIX) or len(parts) != 3:
            raise NoteError("this is no private key")
        try:
            typed = decode_base64(parts[2])
        except NoteError:
            raise NoteError("this is no private key") from None
        if typed[:1] != bytes([COSIGNATURE]) or len(typed) != 1 + _SEED_SIZE:
            raise NoteError("this is not a witness's private key")
        key = cls(parts[0], typed[1:])
        if key.public.key_id.hex() != parts[1]:
            raise NoteError("the private key does not have the id that it is written with")
        return key

    @property
    def public(self) -> VerifierKey:
        """The public half, as others verify it."""
        return VerifierKey(self.name, COSIGNATURE, ed25519.public_key(self.seed))

    def sign(self, data: bytes, /) -> bytes:
        return ed25519.sign(self.seed, data)

    def encode(self) -> str:
        typed = encode_base64(bytes([COSIGNATURE]) + self.seed)
        return f"{_PREFIX}{self.name}+{self.public.key_id.hex()}+{typed}\n"

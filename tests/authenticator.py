"""An authenticator in software: real ES256 keys, authenticator data and client data as a browser hands them over."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from audit.log.approval_proofs import Assertion, encode

SITE = "glasscase.example.org"


@dataclass(frozen=True)
class Authenticator:
    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    @property
    def key(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def site(self) -> bytes:
        return hashlib.sha256(SITE.encode()).digest()

    def sign(self, data: bytes, client: bytes) -> bytes:
        return self.private.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))

    def answer(self, challenge: bytes, *, site: str = SITE, flags: int = 0x05, **changes: Any) -> Assertion:
        """What the browser gives back; `changes` replaces members of the client data."""
        said = {
            "type": "webauthn.get",
            "challenge": encode(challenge),
            "origin": f"https://{SITE}",
            "crossOrigin": False,
        }
        client = json.dumps(said | changes, separators=(",", ":")).encode()
        data = hashlib.sha256(site.encode()).digest() + bytes([flags]) + (7).to_bytes(4, "big")
        return Assertion(self.credential, data, client, self.sign(data, client))

    def with_wrong_signature(self, challenge: bytes) -> Assertion:
        """As somebody without the key would make it: everything right, signed by another key."""
        right = self.answer(challenge)
        other = Authenticator()
        return replace(right, signature=other.sign(right.authenticator_data, right.client_data))

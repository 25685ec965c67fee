"""Approval proofs: a WebAuthn assertion in an approval's entry, made by the approver's own passkey over exactly what was approved.

The registrar enrols a passkey's public key as an entry. An approval with `approval_proof` = `passkey` carries what the passkey
signed: authenticator data (Web Authentication, section 6.1) and client data (section 5.8.1), whose challenge is

    SHA-256("glasscase/approval/v1" 0x00 request params)      request: 16 bytes of its UUID, params: 32 bytes

The database checks everything but the signature, which it cannot. The signer does, before a checkpoint covers the approval,
and disputes a wrong one, so that no search runs on it; so do workers, and whoever checks an export. No Django here.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from audit.log import p256

ENROLLED: Final = "gate:passkey:enrolled"
REVOKED: Final = "gate:passkey:revoked"
APPROVED: Final = "search:request:approved"
BOUND: Final = "search:probe:bound"
PASSKEY: Final = "passkey"
PRESENT_AND_VERIFIED: Final = 0x05  # flags UP and UV: somebody was there, and the authenticator knew who
_LABEL: Final = b"glasscase/approval/v1\0"


def challenge(request: uuid.UUID, params: bytes) -> bytes:
    """What a passkey signs to approve these parameters (their SHA-256) of a request."""
    return sha256(_LABEL + request.bytes + params).digest()


def encode(data: bytes) -> str:
    """Base64url without padding, as entries carry bytes."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Raises ValueError for what `encode` would not write."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, TypeError):
        raise ValueError("this is not base64url") from None
    if encode(data) != text:
        raise ValueError("this is not base64url in its one form")
    return data


@dataclass(frozen=True)
class Assertion:
    """What a passkey answered. `credential` is its id."""

    credential: bytes
    authenticator_data: bytes
    client_data: bytes
    signature: bytes


@dataclass(frozen=True)
class Passkey:
    """An enrolled passkey: whose it is, its public key (SubjectPublicKeyInfo), SHA-256 of the site's name it is bound to."""

    approver: str
    key: bytes
    site: bytes


def wrong_with(assertion: Assertion, passkey: Passkey, wanted: bytes) -> str | None:
    """Why the assertion does not prove that `passkey` signed the challenge `wanted`; None when it does."""
    data = assertion.authenticator_data
    if len(data) < 37 or data[:32] != passkey.site:
        return "it was made for another site"
    if data[32] & PRESENT_AND_VERIFIED != PRESENT_AND_VERIFIED:
        return "the passkey did not verify who used it"
    try:
        client = json.loads(assertion.client_data)
        kind, answered = client["type"], client["challenge"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return "its client data cannot be read"
    if kind != "webauthn.get" or answered != encode(wanted):
        return "it was made for something else"
    if not p256.verify(passkey.key, data + sha256(assertion.client_data).digest(), assertion.signature):
        return "its signature is wrong"
    return None


@dataclass
class Ledger:
    """The passkeys of a log, and what its approvals carry, read entry by entry in the order of the tree."""

    passkeys: dict[str, Passkey] = field(default_factory=dict)  # by SHA-256 of the credential id

    def note(self, entry: Mapping[str, Any]) -> None:
        """Takes note of an enrolment or a revocation."""
        if entry["type"] == REVOKED:
            self.passkeys.pop(entry["credential"], None)
        else:
            try:
                key = decode(entry["key"])
            except ValueError:
                key = b""  # verifies nothing
            self.passkeys[entry["credential"]] = Passkey(entry["approver"], key, bytes.fromhex(entry["site"]))

    def problem(self, entry: Mapping[str, Any]) -> str | None:
        """Why the proof in an approval's entry is wrong; None when it is right, or when the entry says that it has none."""
        if entry.get("approval_proof") != PASSKEY:
            return None
        try:
            passkey = self.passkeys.get(entry["credential"])
            parts = [decode(entry[name]) for name in ("authenticator_data", "client_data", "signature")]
            wanted = challenge(uuid.UUID(entry["request"]), bytes.fromhex(entry["params"]))
        except (KeyError, ValueError, TypeError):
            return "it is not complete"
        if passkey is None or passkey.approver != entry["approver"]:
            return "the approver has no such passkey at this point of the log"
        return wrong_with(Assertion(b"", *parts), passkey, wanted)


@dataclass
class Reading:
    """Reads the log's entries in order (`audit.log.check`): which approvals carry a proof, and which searches rest on a wrong one."""

    ledger: Ledger = field(default_factory=Ledger)
    approvals: int = 0
    proven: int = 0
    wrong: dict[str, tuple[int, str]] = field(default_factory=dict)  # entry id -> index and reason
    misused: tuple[int, int, str] | None = None  # search, approval, reason

    def __call__(self, start: int, bodies: Sequence[bytes]) -> None:
        for index, body in enumerate(bodies, start):
            if b'"type":"gate:passkey:' in body:
                self.ledger.note(json.loads(body))
            elif b'"type":"search:request:approved"' in body:
                self._approved(index, json.loads(body))
            elif self.wrong and b'"type":"search:probe:bound"' in body:
                found = self.wrong.get(json.loads(body).get("approval", ""))
                if found and self.misused is None:
                    self.misused = (index, *found)

    def _approved(self, index: int, entry: Mapping[str, Any]) -> None:
        self.approvals += 1
        if entry.get("approval_proof") == PASSKEY:
            problem = self.ledger.problem(entry)
            if problem is None:
                self.proven += 1
            else:
                self.wrong[entry["id"]] = (index, problem)

    def lines(self) -> list[str]:
        """What was found, in words; nothing for a log without approvals."""
        if not self.approvals:
            return []
        said = [f"{self.proven} of {self.approvals} approvals carry a proof by the approver's passkey, and it is right"]
        for index, reason in self.wrong.values():
            said.append(f"the proof of the approval in entry {index} is wrong ({reason}); no search rests on it")
        return said

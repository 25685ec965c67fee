"""Passkeys that prove approvals: enrolled by the registrar, out of those that people sign in with.

A passkey that somebody added to their account counts for approvals only after the registrar has enrolled its public key, through
a connection that no web process has, against the fingerprint that the person reads from their own screen.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from allauth.mfa.models import Authenticator

from audit.log import p256
from core import approvers
from core.exceptions import Invalid, NotFound
from core.models import User


@dataclass(frozen=True)
class OwnPasskey:
    """A passkey of somebody's account. `key` is its public key (SubjectPublicKeyInfo), `site` SHA-256 of the site's name."""

    name: str
    credential: bytes
    key: bytes
    site: bytes

    @property
    def fingerprint(self) -> str:
        """What a person reads out and the registrar compares: 40 hex digits in groups of four."""
        digits = hashlib.sha256(self.key).hexdigest()[:40]
        return " ".join(digits[start : start + 4] for start in range(0, 40, 4))


def of(user: User) -> list[OwnPasskey]:
    """The passkeys of an account that can prove approvals: those that sign with ES256."""
    found = []
    for authenticator in Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN).order_by("pk"):
        passkey = authenticator.wrap()
        data = passkey.authenticator_data
        cose = data.credential_data.public_key
        # COSE (RFC 9053): -2 and -3 are the coordinates; only ES256 on P-256 is -7 on curve 1.
        if cose.get(3) == -7 and cose.get(-1) == 1:
            key = p256.SPKI_PREFIX + b"\4" + cose[-2] + cose[-3]
            found.append(
                OwnPasskey(passkey.name, bytes(data.credential_data.credential_id), key, bytes(data.rp_id_hash))
            )
    return found


def enrol(user: User, fingerprint: str) -> OwnPasskey:
    """Enrol the passkey with this fingerprint for approvals. Raises NotFound, Invalid, Conflict, Unavailable."""
    typed = "".join(fingerprint.split()).lower()
    if len(typed) != 40:
        sentence = "A fingerprint has 40 digits and letters, as the person's page My account shows it."
        raise Invalid(sentence, {"fingerprint": [sentence]})
    for passkey in of(user):
        if passkey.fingerprint.replace(" ", "") == typed:
            approvers.in_every_gate(
                "SELECT gate.enrol_passkey(%s, %s, %s, %s)", user.id, passkey.credential, passkey.key, passkey.site
            )
            return passkey
    raise NotFound(f"{user} has no passkey with this fingerprint. Compare it with the person's own screen.")


def revoke(user: User) -> None:
    """Void all of a person's passkeys for approvals. Raises Conflict when there is none, Unavailable."""
    approvers.in_every_gate("SELECT gate.revoke_passkeys(%s)", user.id)

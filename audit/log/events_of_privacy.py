"""What is logged about proofs of approvals, absence and erasure. Rows of `audit.log.events.REGISTRY`.

Each is (type, writer, sentence, fields, optional fields, commitments), as `events` explains them. No Django here.
"""

from __future__ import annotations

from typing import Final

EVENTS_OF_PRIVACY: Final[tuple[tuple[str, str, str, str, str, str], ...]] = (
    (
        "gate:passkey:enrolled",
        "gate_owner",
        "A passkey was enrolled that proves approvals.",
        "approver=id credential=hash key=bytes site=hash",
        "",
        "",
    ),
    ("gate:passkey:revoked", "gate_owner", "A passkey was revoked.", "approver=id credential=hash", "", ""),
    (
        "gate:approval:disputed",
        "gate_owner",
        "The signer found the proof of an approval wrong: no search runs on it.",
        "approval=id request=id approver=id",
        "",
        "",
    ),
    (
        "search:probe:erased",
        "gate_owner",
        "The embedding and the candidates of a search were erased.",
        "request=id reason=code",
        "approver=id",
        "",
    ),
    # `backups_until`: the last backup of the key store that may hold the destroyed keys is gone by then.
    (
        "search:photo:erased",
        "app",
        "The photo of a search was erased with its key; ordered, also what was typed.",
        "request=id reason=code backups_until=int",
        "",
        "",
    ),
    (
        "gallery:photos:erased",
        "app",
        "Enrolled photos were erased with their keys.",
        "gallery=id photos=int reason=code",
        "backups_until=int",
        "",
    ),
    ("core:keys:backed_up", "app", "The key store was backed up.", "keys=int expires=int", "", ""),
    ("log:absence:keyed", "app", "The key that tags search entries was announced.", "key=hash", "", ""),
    (
        "log:absence:stated",
        "app",
        "It was stated which entries are for a case number, and that no other one is.",
        "first=int last=int of_case=int",
        "",
        "case_number",
    ),
)

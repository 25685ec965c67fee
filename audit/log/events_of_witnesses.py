"""What the log says of its witnesses. Rows of `audit.log.events.REGISTRY`.

Each is (type, writer, sentence, fields, optional fields, commitments), as `events` explains them. No Django here.
"""

from __future__ import annotations

from typing import Final

EVENTS_OF_WITNESSES: Final[tuple[tuple[str, str, str, str, str, str], ...]] = (
    (
        "log:quorum:lost",
        "witness_client",
        "Too few witnesses cosign the log.",
        "size=int cosigned=int needed=int",
        "",
        "",
    ),
    ("log:quorum:restored", "witness_client", "Enough witnesses cosign the log again.", "size=int seconds=int", "", ""),
    (
        "log:quorum:waived",
        "app",
        "A search went on without a quorum of witnesses, in the time that the policy allows.",
        "request=id entry=id",
        "",
        "",
    ),
    (
        "log:witness:contradicted",
        "witness_client",
        "A witness knows another log than this one.",
        "witness=hash reason=code signed=int",
        "known=int",
        "",
    ),
)

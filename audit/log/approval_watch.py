"""The signer's and the workers' look at approval proofs: the database keeps the assertions, and cannot verify a signature.

The signer looks before it signs, so a checkpoint covers an approval with a wrong proof only after it was disputed, and the gate
runs no search on it. A wrong proof never stops the signing: everybody may see it in the log.
"""

from __future__ import annotations

import json
import uuid

import psycopg

from audit.log.approval_proofs import APPROVED, ENROLLED, PASSKEY, REVOKED, Ledger

_APPROVALS = (
    "SELECT l.idx, e.body FROM log.leaf l JOIN log.entry e ON e.id = l.entry_id"
    " WHERE e.type = %s AND l.idx >= %s AND (%s::bigint IS NULL OR l.idx < %s::bigint) ORDER BY l.idx"
)
_PASSKEYS = (
    "SELECT l.idx, e.body FROM log.leaf l JOIN log.entry e ON e.id = l.entry_id WHERE e.type IN (%s, %s) ORDER BY l.idx"
)


def problems(connection: psycopg.Connection, *, first: int, size: int | None = None) -> dict[uuid.UUID, str]:
    """The approvals among the entries from `first` (to the tree of `size`) whose proof is wrong, with the reason."""
    rows = connection.execute(_APPROVALS, [APPROVED, first, size, size]).fetchall()
    approvals = [(int(index), json.loads(bytes(body))) for index, body in rows]
    approvals = [(index, entry) for index, entry in approvals if entry["approval_proof"] == PASSKEY]
    if not approvals:
        return {}
    passkeys = [
        (int(index), json.loads(bytes(body))) for index, body in connection.execute(_PASSKEYS, [ENROLLED, REVOKED])
    ]
    ledger, found = Ledger(), {}
    for index, entry in approvals:
        while passkeys and passkeys[0][0] < index:
            ledger.note(passkeys.pop(0)[1])
        if (problem := ledger.problem(entry)) is not None:
            found[uuid.UUID(entry["id"])] = problem
    return found


def dispute_wrong(connection: psycopg.Connection, *, first: int, size: int) -> None:
    """Disputes the wrong proofs among the entries `first` to `size`, as the signer; harmless to repeat."""
    for approval in problems(connection, first=first, size=size):
        connection.execute("SELECT gate.dispute_approval(%s)", [approval])

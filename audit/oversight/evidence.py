"""How far an entry is proven: its receipt, checked here as anybody can check it elsewhere, and the key's fingerprint."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection

from audit.log import storage, verifier_keys, witness_policy
from audit.log.checkpoint import NoteError, VerifierKey, cosignatures
from audit.log.proof import Receipt, ReceiptError
from audit.oversight.entries import LogEntry
from audit.oversight.reading import log_connection


@dataclass(frozen=True)
class Evidence:
    """`first_size` and `first_at` belong to the first checkpoint over the entry; `receipt` is under the last one.

    `witnesses` are those of the policy that cosigned the checkpoint of the receipt, and when.
    `problem` is a sentence where the entry has no receipt yet or the receipt does not hold.
    """

    receipt: Receipt | None
    size: int | None = None
    signers: tuple[VerifierKey, ...] = ()
    first_size: int | None = None
    first_at: datetime | None = None
    problem: str = ""
    witnesses: tuple[tuple[str, datetime], ...] = ()


def of(entry: LogEntry) -> Evidence:
    """The evidence for an entry."""
    try:
        with log_connection() as own:
            keys = verifier_keys.published()
            receipt = storage.receipt(own, entry.id, keys)
    except (storage.NotCovered, verifier_keys.NoVerifierKey) as error:
        return Evidence(None, problem=str(error))
    try:
        signed = receipt.verify(entry.body, keys)
    except (ReceiptError, NoteError) as error:
        return Evidence(receipt, problem=f"The receipt does not hold: {error}. Compare the log with an export.")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.size, c.at FROM log.place p JOIN log.checkpoint c ON c.origin = p.origin AND c.size > p.index"
            " WHERE p.idx = %s ORDER BY c.size, c.at LIMIT 1",
            [entry.index],
        )
        first = cursor.fetchone()
    policy = witness_policy.configured()
    times = {} if policy is None else cosignatures(signed.note, policy.keys)
    witnesses = tuple((key.name, datetime.fromtimestamp(seconds, UTC)) for key, seconds in times.items())
    first_size, first_at = first or (None, None)
    return Evidence(receipt, signed.checkpoint.size, signed.signers, first_size, first_at, witnesses=witnesses)


def fingerprint(key: VerifierKey) -> str:
    """What to compare with the paper: SHA-256 of the key as it is written, 64 hex digits in groups of four."""
    digest = key.fingerprint
    return " ".join(digest[at : at + 4] for at in range(0, len(digest), 4))

"""The log in the database against what is known of it elsewhere: the signer's memory, the archive, the witnesses.

Where any of them knows more than the database, or something else, the database was restored from a backup, cut or
rewritten. Indices that were signed for must then not be given to other entries.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from audit.log.check import Earlier
from audit.log.merkle import Prover, verify_consistency
from audit.log.tiles import Getter

RUNBOOK: Final = "docs/runbooks/log-recovery.md"


@dataclass(frozen=True)
class Contradiction:
    """What the database's log cannot be reconciled with, and a sentence that says so."""

    known: Earlier
    reason: str


def first_contradiction(*, size: int, root: bytes, get: Getter, known: Iterable[Earlier]) -> Contradiction | None:
    """The largest of the `known` trees that the tree of `size` entries under `root` does not extend; None: it extends all.

    `get` gives the tiles of the tree. They are not believed: a proof made from false ones does not lead to the roots.
    """
    prover = Prover(size, get)
    for held in sorted(known, key=lambda earlier: earlier.checkpoint.size, reverse=True):
        there = held.checkpoint
        if there.size > size:
            return Contradiction(
                held,
                f"The database's log has {size:,} entries, and {held.what} knows {there.size:,}: "
                "the database was restored from a backup, or entries were removed.",
            )
        if there.size == size and there.root != root:
            return Contradiction(
                held, f"The log of {size:,} entries is not the one that {held.what} knows: it was rewritten."
            )
        proof = prover.consistency(there.size)
        if not verify_consistency(old=there.size, new=size, proof=proof, old_root=there.root, new_root=root):
            return Contradiction(
                held, f"The log of {size:,} entries does not extend the {there.size:,} that {held.what} knows."
            )
    return None

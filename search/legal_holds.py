"""Legal holds: nothing of a search, a case or a person is erased while one is placed.

Each server knows its own holds and erases for itself, so a hold is placed in all that are concerned: in the shards first, so
that what the main server shows as held is held everywhere, and lifted on the main server first, for the same reason.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence

from core import database
from core.exceptions import NotFound
from core.models import User
from search import shards
from search.exceptions import gate_sentences
from search.gate import client, params
from search.gate.client import GateRefused
from search.proposals import Signature, propose_two


def place(subject: uuid.UUID, *, at: Iterable[str]) -> None:
    """Place a hold in these shards and on the main server; placed again it changes nothing. Raises Unavailable.

    The main server's part is in the caller's transaction. Where that fails, the shards keep a hold too many, never one too few.
    """
    for name in at:
        with shards.place(name) as there, gate_sentences():
            client.place_hold(there, subject)
    with gate_sentences():
        client.place_hold(database.session(), subject)


def lift(*, by: User | None, subject: uuid.UUID, signatures: Sequence[Signature]) -> list[str]:
    """Lift a hold wherever it is placed; two people sign. Returns the names of the servers that had it.

    Raises Invalid, NotAllowed, Unavailable (to be repeated then), NotFound where no server has it.
    """
    found = []
    for name in (shards.MAIN, *shards.configured()):
        with shards.place(name) as there, gate_sentences():
            proposals = propose_two(
                by=by, act="gate:lift_hold", params=params.lift_hold(subject=subject), signatures=signatures, at=there
            )
            try:
                client.lift_hold(there, subject, proposals)
            except GateRefused as refused:
                if refused.rule != "hold":
                    raise
                continue
            found.append(name)
    if not found:
        raise NotFound("There is no legal hold on this record.")
    return found

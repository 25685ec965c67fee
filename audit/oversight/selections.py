"""Exporting a selection of the log: the entries that fit a filter, each with its proof, under one signed checkpoint."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg

from audit.log import events, journal, storage, verifier_keys
from audit.log.checkpoint import VerifierKey
from audit.log.merkle import Prover
from audit.log.selection import CHECKPOINT_NAME, CSV_NAME, JSON_NAME, Row, as_csv, as_json
from audit.oversight import archives, entries, exports, verifier_file
from audit.oversight.entries import Filter
from audit.oversight.evidence import fingerprint
from audit.permissions import check_can_read_log
from core import database
from core.exceptions import Invalid, Unavailable
from core.models import User
from core.permissions import signature
from core.person_roles import Permission

# A larger part of the log is better taken whole.
MOST: Final = 100_000
_AT_ONCE: Final = 500


@dataclass(frozen=True)
class _Chosen:
    """The signed log of `size` entries under `note`, and the numbers in it of those that were chosen, in order."""

    log: storage.Origin
    size: int
    note: bytes
    keys: Sequence[VerifierKey]
    indices: Sequence[int]


def export(*, by: User, which: Filter) -> tuple[uuid.UUID, Iterator[bytes]]:
    """A zip file, piece by piece, with the signed entries of the open log that fit, and the id of the entry that says so.

    That entry is committed before the first byte.

    Raises NotAllowed, Invalid for more than MOST entries or a filter that takes too long, Unavailable before the first
    signature, LogUnavailable.
    """
    check_can_read_log(by)
    try:
        keys = verifier_keys.published()
        with database.connect("app") as own:
            log = storage.origin(own)
            latest = storage.latest_checkpoint(own, keys, log)
    except verifier_keys.NoVerifierKey as problem:
        raise Unavailable(str(problem)) from None
    if latest is None:
        raise Unavailable("Nothing is signed yet. Start the sequencer and the signer, or try again.")
    size, note = latest
    if which.type and re.fullmatch(events.CODE, which.type) is None:
        raise Invalid("There is no such event. Take its name from docs/reference/events.md.", {"event": ["Unknown."]})
    places = entries.places(which, start=log.base, end=log.base + size, most=MOST + 1)
    indices = [place - log.base for place in places]
    if len(indices) > MOST:
        raise Invalid(
            f"More than {MOST:,} entries fit. Choose a shorter time or fewer events, or export the whole log."
        )
    made = journal.record_now(
        "log:selection:exported",
        entries=len(indices),
        size=size,
        first=indices[0] if indices else None,
        last=indices[-1] if indices else None,
        **which.said(),
        **signature(by, Permission.READ_LOG),
    )
    return made, archives.stream(_members(_Chosen(log, size, note, keys, indices), made))


def _members(chosen: _Chosen, made: uuid.UUID) -> Iterator[archives.Member]:
    with database.connect("app") as own:
        yield from ((name, [content]) for name, content in exports.beside(chosen.keys, how_to(chosen, made)))
        yield CHECKPOINT_NAME, [chosen.note]
        yield CSV_NAME, as_csv(_rows(own, chosen))
        yield JSON_NAME, as_json(_rows(own, chosen), export=str(made), checkpoint=chosen.note)


def _rows(connection: psycopg.Connection, chosen: _Chosen) -> Iterator[Row]:
    prover = Prover(chosen.size, storage.getter(connection, chosen.size, chosen.log))
    for start in range(0, len(chosen.indices), _AT_ONCE):
        found = connection.execute(
            "SELECT l.idx - %s, e.body FROM log.leaf l JOIN log.entry e ON e.id = l.entry_id WHERE l.idx = ANY(%s)"
            " ORDER BY l.idx",
            [chosen.log.base, [chosen.log.base + index for index in chosen.indices[start : start + _AT_ONCE]]],
        ).fetchall()
        for index, body in found:
            yield Row(int(index), bytes(body), tuple(prover.inclusion(int(index))))


def how_to(chosen: _Chosen, made: uuid.UUID) -> str:
    """The text beside a selection."""
    count = len(chosen.indices)
    listed = "\n".join(f"  {key}\n  fingerprint {fingerprint(key)}\n" for key in chosen.keys)
    named = " ".join(f"--key '{key}'" for key in chosen.keys)
    return f"""HOW TO CHECK THIS SELECTION

{count} of the first {chosen.size} entries of the log, each byte for byte and with the proof that it is in the log:

  {CSV_NAME}    a table for people; time, type and id are repeated from the entry
  {JSON_NAME}   the same for programs
  {CHECKPOINT_NAME}       the signature of the log, one for all of them

Entry numbers begin with 0. People, cases and searches are ids; what is personal stands as a salted hash under "c".

1. The key. Compare it with the paper that you were given, not with this file. The fingerprint is the SHA-256 of the key
   as it is written here.

{listed}
2. The program. {verifier_file.NAME} has the SHA-256 {verifier_file.digest()}
   Compare that with the paper too. You need Python 3.11 or newer and nothing else; no network, no account.

3. The check, with the zip file that you were given (or with {JSON_NAME}, or with {CSV_NAME} beside {CHECKPOINT_NAME}):

   python3 -I {verifier_file.NAME} {named} --selection FILE

   The last line begins with OK, or with FAIL and the first row that is not as it was logged.

WHAT THIS SHOWS AND WHAT NOT. It shows that each of these entries stands in the log, unchanged and under this number. It does
not show that nothing was left out of the selection: how many entries were exported, and under which filter, is said by the
entry {made} of the log. To see everything, check a copy of the whole log.
"""

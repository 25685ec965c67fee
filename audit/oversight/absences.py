"""Making a statement of absence: for one case number, what lets everybody compare each search entry of a range.

Stating is itself an entry, which commits to the case number: whoever asks this log about a case leaves a trace in it.
"""

from __future__ import annotations

import json
import uuid
from typing import Final

from django.conf import settings

from audit.log import absence, case_numbers, case_tags, journal, storage, succession
from audit.log.absence import Key, Statement
from audit.permissions import check_can_open_sealed
from core import database
from core.exceptions import Invalid, Unavailable
from core.models import User
from core.permissions import signature
from core.person_roles import Permission

MOST_AT_ONCE: Final = 10_000  # about 20 s
_TAGGED: Final = (
    "SELECT l.idx - o.base, e.body FROM log.origin o"
    " JOIN log.leaf l ON l.idx BETWEEN o.base + %s AND o.base + %s JOIN log.entry e ON e.id = l.entry_id"
    " WHERE o.number = %s AND e.type = ANY (%s) ORDER BY l.idx"
)


def state(
    *, by: User | None, number: str, first: int | None = None, last: int | None = None, most: int | None = None
) -> Statement:
    """The statement for a case number, however it is spelled, and the entries `first` to `last` of the open log; all signed
    ones by default.

    None as `by` is the operator. `most`: how many search entries at most, for who waits for the answer. Raises NotAllowed, Invalid (fields number, first, last), Unavailable while nothing is
    signed, LogUnavailable. Takes about 2 ms for each search entry.
    """
    if by is not None:
        check_can_open_sealed(by)
    plain = case_numbers.canonical(number)
    if not plain or len(plain) > absence.LONGEST_NUMBER:
        raise _invalid("number", f"Give a case number of 1 to {absence.LONGEST_NUMBER} characters.")
    log = storage.origin(database.session())
    latest = storage.latest_checkpoint(database.session(), of=log)
    if latest is None:
        raise Unavailable("The log has no signed checkpoint yet: start the sequencer and the signer.")
    end = latest[0] - 1
    first, last = first or 0, end if last is None else last
    if not 0 <= first <= last:
        raise _invalid("first", "The first entry comes before the last one; entries count from 0.")
    if last > end:
        raise _invalid("last", f"The signed log ends with entry {end}. Name that or an earlier one.")
    found = database.session().execute(_TAGGED, [first, last, log.number, list(absence.TAGGED)]).fetchall()
    if most is not None and len(found) > most:
        raise _invalid("last", f"More than {most:,} searches are among these entries. Name fewer, or use the command.")
    own = Key(case_tags.modulus(), tuple(case_tags.roots()))
    signatures: dict[int, bytes] = {}
    of_case = 0
    for index, body in found:
        entry = json.loads(bytes(body))
        if entry.get("case_key") == own.hash and "case_tag" in entry:
            signatures[index] = case_tags.sign(plain, entry["nonce"])
            of_case += absence.tag(signatures[index]) == entry["case_tag"]
    journal.record_now(
        "log:absence:stated",
        vault_record=uuid.uuid4(),
        values={"case_number": plain},
        first=first,
        last=last,
        of_case=of_case,
        **signature(by, Permission.SAMPLE_SEARCHES),
    )
    origin = succession.origin_name(settings.GLASSCASE_LOG_ORIGIN, log.number)
    return Statement(origin, plain, first, last, {own.hash: own}, signatures)


def file_name(stated: Statement) -> str:
    """What the file of a statement is called: without the case number, which would end up in histories of downloads."""
    return f"glasscase-{stated.first}-{stated.last}.absence.json"


def _invalid(field: str, sentence: str) -> Invalid:
    return Invalid(sentence, {field: [sentence]})

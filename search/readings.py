"""Reading candidates: each reading is an entry of the log first, names its reader, and opens the list once.

Only an examiner who did not ask for the search reads; the requester sees the status. The photos of candidates open with
one half of a key from the database, given for this reading's candidates only, and the other from the key store.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.utils import timezone

from audit.log import journal, storage
from core import approvers, database
from core.exceptions import Conflict, NotAllowed, NotFound, Unavailable
from core.models import User
from core.permissions import signature
from core.person_roles import Permission
from search import permissions, photos, states, trail
from search.exceptions import StateConflict, gate_sentences
from search.gate import client, params
from search.models import EnrolledPhoto, RequestState, SearchRequest

RECEIPTS: Final = {
    "intent": "search:intent:filed",
    "bound": "search:probe:bound",
    "result": "search:result:stored",
}


@dataclass(frozen=True)
class EnrolledInfo:
    """What is kept of a candidate's enrolled photo. `person_ref` is the reference under which it was enrolled."""

    person: uuid.UUID
    person_ref: str
    enrolled_at: datetime
    attributes: dict[str, Any]


@dataclass(frozen=True)
class CandidateRow:
    """One candidate; `score_milli` is the match score in steps of 10^-3. `photo` is None when it was expunged since."""

    rank: int
    template: uuid.UUID
    score_milli: int
    photo: EnrolledInfo | None


@dataclass(frozen=True)
class Reading:
    """One reading: `view` is its entry and opens the photos for ten minutes."""

    view: uuid.UUID
    request: SearchRequest
    candidates: list[CandidateRow]


@dataclass(frozen=True)
class ReceiptFile:
    """The receipt of one entry of a search (`.tlog-proof`), and the entry it proves, as files."""

    kind: str  # intent, bound, result
    entry: uuid.UUID
    receipt: bytes
    body: bytes

    @property
    def receipt_name(self) -> str:
        return f"{self.kind}.tlog-proof"

    @property
    def entry_name(self) -> str:
        return f"{self.kind}.entry.json"


def open_candidates(*, by: User, request: SearchRequest) -> Reading:
    """Reads the candidates of a finished search, best first; an empty list is a result too.

    Raises NotAllowed, StateConflict while there is no result, Conflict when it is sealed, Unavailable while the log does
    not take the entry of the reading.
    """
    permissions.check_can_view_candidates(by, request)
    request.refresh_from_db()
    if request.state != RequestState.DONE:
        raise StateConflict(
            "The result is not there yet." if request.state not in states.FINAL else states.said(request.state)
        )
    if request.deadline_at is not None and request.decided_at is None and request.deadline_at <= timezone.now():
        # The law pack's deadline; the gate seals at its own, which may be later.
        raise Conflict("The result is sealed: no approval of the emergency search was filed in time.")
    view = journal.record_reading(
        "search:candidates:viewed",
        request=request.id,
        viewer=by.id,
        **signature(by, Permission.REVIEW_CANDIDATES),
    )
    with database.connect("app") as own, gate_sentences():
        try:
            trail.wait(own, view, covered=False)
        except trail.LogSilent as silent:
            raise Unavailable("The log does not answer, so nothing is shown. Try again in a minute.") from silent
        found = client.candidates(own, view, journal.reading_secret(view))
    photos = EnrolledPhoto.objects.in_bulk([candidate.template for candidate in found.candidates])
    rows = [CandidateRow(c.rank, c.template, c.score_milli, _info(photos.get(c.template))) for c in found.candidates]
    return Reading(view, request, rows)


def photo(*, by: User, view: uuid.UUID, template: uuid.UUID) -> bytes:
    """The enrolled photo of a candidate (JPEG), for the reader of `view` and for ten minutes.

    Raises NotAllowed for anybody else, Conflict when the reading is over or the template is not among its candidates,
    NotFound when the photo is not kept any more.
    """
    return photos.read(template, _half(by, view, template), photos.PHOTO)


def crop(*, by: User, view: uuid.UUID, template: uuid.UUID) -> bytes:
    """The aligned crop of a candidate as the face model saw it (PNG). Raises as `photo`."""
    return photos.read(template, _half(by, view, template), photos.CROP)


def receipts(*, by: User, request: SearchRequest) -> list[ReceiptFile]:
    """The receipts of intent, bound and result entry, as far as the signed log has them. Raises NotAllowed."""
    permissions.check_can_see_request(by, request)
    found = []
    session = database.session()
    said = {entry.type: entry for entry in trail.entries(session, request.id)}
    for kind, type_ in RECEIPTS.items():
        entry = said.get(type_)
        if entry is None or entry.covered_at is None:
            continue
        receipt = storage.receipt(session, entry.id).encode()
        found.append(ReceiptFile(kind, entry.id, receipt, storage.entry_body(session, entry.id)))
    return found


def download_receipt(*, by: User, request: SearchRequest, kind: str) -> ReceiptFile:
    """One receipt; that it was downloaded is in the log. Raises NotAllowed, NotFound."""
    for file in receipts(by=by, request=request):
        if file.kind == kind:
            journal.record_now("search:receipt:downloaded", actor=by.id, request=request.id, entry=file.entry)
            return file
    raise NotFound("This receipt is not there yet. Try again in a few seconds.")


@dataclass(frozen=True)
class Replay:
    """How a second run of the same search compares with the first: same, same_except_expunged, different."""

    entry: uuid.UUID
    comparison: str
    expunged: int
    near_threshold: int


def replay(*, by: User, request: SearchRequest, approver: User, secret: str) -> Replay:
    """Runs a search again from its bound embedding, approved by `approver`. Returns the comparison, never the list.

    Raises NotAllowed, Conflict (nothing to replay, wrong secret).
    """
    permissions.check_can_replay(approver, request)
    permissions.check_can_see_request(by, request)
    text = approvers.normalise(secret)
    with database.connect("app") as own, gate_sentences():
        before = {entry.id for entry in trail.entries(own, request.id)}
        proposal = client.propose(
            own, act="gate:replay", params=params.replay(request=request.id), approver=approver.id, secret=text
        )
        client.replay(own, request.id, proposal)
        made = [
            entry
            for entry in trail.entries(own, request.id)
            if entry.id not in before and entry.type == "search:result:replayed"
        ]
    if not made:
        raise Conflict("The search was run again, but its entry is not there. Tell the administrator.")
    fields = made[-1].fields
    return Replay(made[-1].id, fields["comparison"], fields["expunged"], fields["near_threshold"])


def _half(by: User, view: uuid.UUID, template: uuid.UUID) -> bytes:
    with database.connect("app") as own, gate_sentences():
        try:
            entry = json.loads(storage.entry_body(own, view))
        except LookupError:
            raise NotFound("There is no such reading.") from None
        if entry.get("type") != "search:candidates:viewed" or entry.get("viewer") != str(by.id):
            raise NotAllowed("This reading belongs to somebody else. Open the candidates yourself.")
        return client.photo_key(own, view, journal.reading_secret(view), template)


def _info(photo: EnrolledPhoto | None) -> EnrolledInfo | None:
    if photo is None:
        return None
    return EnrolledInfo(photo.person, photo.person_ref, photo.enrolled_at, photo.attributes)

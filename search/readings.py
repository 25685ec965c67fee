"""Reading candidates: each reading is an entry of the log first, names its reader, and opens the list once.

Only an examiner who did not ask for the search reads; the requester sees the status. The photos of candidates open with
one half of a key from the database, given for this reading's candidates only, and the other from the key store.

The first examiner who reads sees ranks and scores. Every other one compares faces without either and in another order,
until they have decided or the review is over: so the second decision owes nothing to the matcher or to the first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils import timezone

from audit.log import journal, storage
from core import approvers, database
from core.exceptions import Conflict, NotAllowed, NotFound, Unavailable
from core.models import User
from core.permissions import signature
from core.person_roles import Permission
from core.shard_file import MAIN
from search import permissions, photos, sealed, shards, states, trail
from search.exceptions import StateConflict, gate_sentences
from search.gate import client, params
from search.models import CandidateReading, EnrolledPhoto, RequestState, SearchRequest
from search.shards import Server

RECEIPTS: Final = {
    "intent": "search:intent:filed",
    "bound": "search:probe:bound",
    "result": "search:result:stored",
    "merged": "search:result:merged",
}
SITTING: Final = timedelta(hours=12)
"""How long a decision may rest on one reading; its photos open for ten minutes."""
_EXAMINERS: Final = 2
_COMPARISONS: Final = ("same", "same_except_expunged", "different")
_SHOWN: Final = "reading"


@dataclass(frozen=True)
class EnrolledInfo:
    """What is kept of a candidate beside the template. `person_ref` is the reference under which it was enrolled; without
    `has_photo` the template was imported, and there is nothing to look at."""

    person: uuid.UUID
    person_ref: str
    enrolled_at: datetime
    attributes: dict[str, Any]
    has_photo: bool = True


@dataclass(frozen=True)
class CandidateRow:
    """One candidate; `score_milli` is the match score in steps of 10^-3. `photo` is None when it was expunged since.

    Rank and score are None in a blind reading.
    """

    rank: int | None
    template: uuid.UUID
    score_milli: int | None
    photo: EnrolledInfo | None

    @property
    def can_be_seen(self) -> bool:
        """Whether there is a photo to compare: it may be expunged, or was never here."""
        return self.photo is not None and self.photo.has_photo


@dataclass(frozen=True)
class Reading:
    """One reading: `view` is its entry and opens the photos for ten minutes."""

    view: uuid.UUID
    request: SearchRequest
    candidates: list[CandidateRow]
    blind: bool = False


@dataclass(frozen=True)
class ReceiptFile:
    """The receipt of one entry of a search (`.tlog-proof`), and the entry it proves, as files."""

    kind: str  # a key of RECEIPTS; of another server <name>-intent and so on
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
    view, found = opened(by=by, request=request, permission=Permission.REVIEW_CANDIDATES)
    blind = reads_blind(by, request)
    listed = _listed(found)
    parts = {name: {"candidates": _listed(part), "salt": part.salt.hex()} for name, part in found.parts}
    CandidateReading.objects.create(
        view=view,
        request=request,
        reader=by,
        blind=blind,
        at=timezone.now(),
        sealed=sealed.seal(
            request, _SHOWN, {"candidates": listed, "salt": found.salt.hex(), **({"parts": parts} if parts else {})}
        ),
    )
    return Reading(view, request, _shown_rows(view, listed, blind), blind)


def _listed(found: client.Candidates) -> list[list[Any]]:
    return [[str(one.template), one.score_milli] for one in found.candidates]


def opened(*, by: User, request: SearchRequest, permission: Permission) -> tuple[uuid.UUID, client.Candidates]:
    """Files the entry of a reading and opens the list with it, in every server of the gallery. The caller has asked who may.

    Raises Unavailable while a log does not take the entry or a server does not answer, Conflict when the gate refuses.
    """
    try:
        with database.connect("app") as own, shards.opened(request, own) as servers, gate_sentences():
            fields = {"request": request.id, "viewer": by.id, **signature(by, permission)}
            view = journal.record_reading("search:candidates:viewed", **fields)
            secret = journal.reading_secret(view)
            shards.file_reading(servers, view, claim=hashlib.sha256(secret).hexdigest(), **fields)
            return view, shards.read(servers, request, view, secret)
    except trail.LogSilent as silent:
        raise Unavailable("The log does not answer, so nothing is shown. Try again in a minute.") from silent
    except shards.ServerTrouble as trouble:
        raise Unavailable(f"{trouble.sentence} A part of a result is never shown. Try again later.") from trouble


def reads_blind(by: User, request: SearchRequest) -> bool:
    """Whether this examiner compares without ranks and scores: somebody else read first, and the review still needs them."""
    decided = set(request.decisions.values_list("examiner_id", flat=True))
    if by.id in decided or len(decided) == _EXAMINERS:
        return False
    first = trail.find(database.session(), request.id, "search:candidates:viewed")
    return first is not None and first.fields["viewer"] != str(by.id)


def again(*, by: User, reading: CandidateReading) -> Reading:
    """What a reading showed, for its reader and the sitting it belongs to: to show a form again. Raises NotAllowed, Conflict."""
    if reading.reader_id != by.id:
        raise NotAllowed("This reading belongs to somebody else. Open the candidates yourself.")
    if reading.at < timezone.now() - SITTING:
        raise Conflict("This reading is from an earlier sitting. Open the candidates again.")
    request = reading.request
    return Reading(
        reading.view, request, _shown_rows(reading.view, shown(reading)["candidates"], reading.blind), reading.blind
    )


def shown(reading: CandidateReading) -> dict[str, Any]:
    """The sealed list of a reading, best first: `candidates` as [template, score in steps of 10^-3], and the `salt` that
    opens the result entry's commitment to it; of several servers the same of each in `parts`. Raises NotFound after erasure."""
    found: dict[str, Any] = sealed.unseal(reading.request, _SHOWN, reading.sealed)
    return found


def rows(found: client.Candidates) -> list[CandidateRow]:
    """What the gate's list says of each candidate, best first."""
    kept = EnrolledPhoto.objects.in_bulk([one.template for one in found.candidates])
    return [
        CandidateRow(one.rank, one.template, one.score_milli, _info(kept.get(one.template))) for one in found.candidates
    ]


def _shown_rows(view: uuid.UUID, listed: list[list[Any]], blind: bool) -> list[CandidateRow]:
    best_first = [
        client.Candidate(rank, uuid.UUID(template), score) for rank, (template, score) in enumerate(listed, 1)
    ]
    found = rows(client.Candidates(tuple(best_first), b""))
    if not blind:
        return found
    found.sort(key=lambda row: hashlib.sha256(view.bytes + row.template.bytes).digest())
    return [CandidateRow(None, row.template, None, row.photo) for row in found]


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
    """The receipts of intent, bound and result entry, as far as the signed log has them. Raises NotAllowed.

    Of a gallery that is spread over several servers also that of the merged result, and those of each other server that
    answers, by its name.
    """
    permissions.check_can_see_request(by, request)
    found = list(_receipts(request, Server(MAIN, request.edition or 0, database.session())))
    for name, edition in shards.listed(request):
        if name != MAIN:
            with contextlib.suppress(shards.ServerTrouble), shards.reach(name) as connection:
                found += _receipts(request, Server(name, edition, connection))
    return found


def _receipts(request: SearchRequest, server: Server) -> Iterator[ReceiptFile]:
    said = {entry.type: entry for entry in trail.entries(server.connection, request.id)}
    for kind, type_ in RECEIPTS.items():
        entry = said.get(type_)
        if entry is None or entry.covered_at is None:
            continue
        try:
            receipt = storage.receipt(
                server.connection, entry.id, server.keys(), signed_only=not server.is_main
            ).encode()
        except storage.NotCovered:  # signed, and not yet cosigned
            continue
        named = kind if server.is_main else f"{server.name}-{kind}"
        yield ReceiptFile(named, entry.id, receipt, storage.entry_body(server.connection, entry.id))


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
    lost: int | None  # of a search in two stages: candidates that the exact scan finds besides; None of an exact one


def replay(*, by: User, request: SearchRequest, approver: User, secret: str) -> Replay:
    """Runs a search again from its bound embedding, approved by `approver`. Returns the comparison, never the list.

    Raises NotAllowed, Conflict (nothing to replay, wrong secret).
    """
    permissions.check_can_replay(approver, request)
    permissions.check_can_see_request(by, request)
    text = approvers.normalise(secret)
    try:
        with database.connect("app") as own, shards.opened(request, own) as servers, gate_sentences():
            # The main server last: its entry stands for all.
            found = [_replayed(server, request, approver, text) for server in (*servers[1:], servers[0])]
    except shards.ServerTrouble as trouble:
        raise Unavailable(f"{trouble.sentence} Replay the search again later.") from trouble
    worst = max((one.comparison for one in found), key=_COMPARISONS.index)
    lost = [one.lost for one in found if one.lost is not None]
    return Replay(
        found[-1].entry,
        worst,
        sum(one.expunged for one in found),
        sum(one.near_threshold for one in found),
        sum(lost) if lost else None,
    )


def _replayed(server: Server, request: SearchRequest, approver: User, secret: str) -> Replay:
    wanted = params.replay(request=request.id)
    with server.speaking():
        before = {entry.id for entry in trail.entries(server.connection, request.id)}
        proposal = client.propose(
            server.connection, act="gate:replay", params=wanted, approver=approver.id, secret=secret
        )
        client.replay(server.connection, request.id, proposal)
        made = [
            entry
            for entry in trail.entries(server.connection, request.id)
            if entry.id not in before and entry.type == "search:result:replayed"
        ]
    if not made:
        raise Conflict("The search was run again, but its entry is not there. Tell the administrator.")
    fields = made[-1].fields
    return Replay(made[-1].id, fields["comparison"], fields["expunged"], fields["near_threshold"], fields.get("lost"))


def _half(by: User, view: uuid.UUID, template: uuid.UUID) -> bytes:
    with database.connect("app") as own, gate_sentences():
        try:
            entry = json.loads(storage.entry_body(own, view))
        except LookupError:
            raise NotFound("There is no such reading.") from None
        if entry.get("type") != "search:candidates:viewed" or entry.get("viewer") != str(by.id):
            raise NotAllowed("This reading belongs to somebody else. Open the candidates yourself.")
    with shards.holding(template) as holder, gate_sentences():
        return client.photo_key(holder, view, journal.reading_secret(view), template)


def _info(photo: EnrolledPhoto | None) -> EnrolledInfo | None:
    if photo is None:
        return None
    return EnrolledInfo(photo.person, photo.person_ref, photo.enrolled_at, photo.attributes, photo.has_photo)

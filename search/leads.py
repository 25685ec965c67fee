"""Leads: a candidate that two examiners support, released by a supervisor to whoever asked for the search.

The officer sees the lead and nothing else of the list. What a lead shows is copied when it is released and sealed under the
request's key: the figures as they were shown, and the one photo. Each reading is an entry, and opens the pictures for ten
minutes.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from audit.log import journal
from core import database, state
from core.exceptions import Conflict, Invalid, NotAllowed, NotFound
from core.models import User
from core.permissions import has, signature
from core.person_roles import Permission
from search import measured, permissions, photos, readings, review_states, reviews, sealed, shards, trail
from search.exceptions import StateConflict, gate_sentences
from search.gate import client
from search.models import EnrolledPhoto, Lead, RequestState, Review, ReviewState, SearchRequest
from search.readings import CandidateRow

CAVEAT: Final = "Investigative lead only. Not an identification. Not probable cause."
PICTURES: Final = {"photo": "image/jpeg", "crop": "image/png", "probe": "image/png"}
"""The pictures of a lead: the enrolled photo, its aligned crop, and the searched face."""
OPEN_FOR: Final = timedelta(minutes=10)
_SEALED: Final = "lead"


@dataclass(frozen=True)
class Agreed:
    """What a supervisor reads before deciding: the candidates that both examiners support, and both decisions."""

    view: uuid.UUID
    request: SearchRequest
    candidates: list[CandidateRow]
    decisions: list[reviews.Decision]


@dataclass(frozen=True)
class LeadPage:
    """A lead as it is read; `view` is the entry of this reading. `measured` is what was known when it was released."""

    view: uuid.UUID
    lead: Lead
    person_ref: str
    enrolled_at: str
    score_milli: int
    candidates: int
    note: str
    measured: measured.Measured | None
    caveat: str = CAVEAT


def queue(by: User) -> QuerySet[SearchRequest]:
    """The reviews that wait for this supervisor, oldest first."""
    if not has(by, Permission.RELEASE_LEADS) or by.agency_id is None:
        return SearchRequest.objects.none()
    return (
        SearchRequest.objects.filter(review__state=ReviewState.AGREED, requester__agency=by.agency_id)
        .exclude(requester=by)
        .exclude(decisions__examiner=by)
        .select_related("requester", "case", "gallery", "review")
        .order_by("done_at")
    )


def visible(by: User) -> QuerySet[Lead]:
    """The leads that a person may read, newest first."""
    found = Lead.objects.select_related("request__requester", "request__case", "request__review").order_by(
        "-released_at"
    )
    own = Q(request__requester=by)
    if has(by, Permission.RELEASE_LEADS) or has(by, Permission.DECIDE_HOLDS):
        return found.filter(own | Q(request__requester__agency=by.agency_id))
    return found.filter(own)


def find(by: User, identity: uuid.UUID) -> Lead:
    """One lead that a person may read. Raises NotFound."""
    found = visible(by).select_related("released_by").filter(pk=identity).first()
    if found is None:
        raise NotFound("There is no such lead for you.")
    return found


def open_agreed(*, by: User, request: SearchRequest) -> Agreed:
    """Opens the candidates that both examiners support, for a supervisor: a reading with its entry.

    Raises NotAllowed, StateConflict, Conflict.
    """
    permissions.check_can_supervise_lead(by, request)
    _check_waits(reviews.state(request))
    wanted = reviews.agreed(request)
    view, found = readings.opened(by=by, request=request, permission=Permission.RELEASE_LEADS)
    rows = [row for row in readings.rows(found) if str(row.template) in wanted]
    return Agreed(view, request, rows, reviews.decisions(by, request))


def release(*, by: User, request: SearchRequest, templates: Collection[str], note: str = "") -> list[Lead]:
    """Releases candidates that both examiners support to whoever asked for the search.

    Raises NotAllowed (the requester, an examiner), StateConflict without agreement or when it was decided before, Invalid
    (field templates) for candidates that two examiners do not support, Conflict (an emergency without approval, photo gone).
    """
    permissions.check_can_supervise_lead(by, request)
    _check_waits(reviews.state(request))
    if request.emergency and request.decided_at is None:
        raise Conflict("This emergency has not been approved yet. Nothing is released before it is.")
    chosen, wanted = set(templates), reviews.agreed(request)
    if not chosen or chosen - wanted:
        sentence = "Choose candidates that both examiners support."
        raise Invalid(sentence, {"templates": [sentence]})
    view, found = readings.opened(by=by, request=request, permission=Permission.RELEASE_LEADS)
    rows = [row for row in readings.rows(found) if str(row.template) in chosen]
    if len(rows) != len(chosen):
        raise Conflict("The gate's list does not hold what the decisions name. Tell the oversight board.")
    kept = {row.template: _pictures(view, row) for row in rows}
    written: list[Path] = []
    try:
        with transaction.atomic():
            request, review = _locked(request)
            made = [_release(by, request, row, len(found.candidates), note.strip()) for row in rows]
            for lead, row in zip(made, rows, strict=True):
                for kind, content in kept[row.template].items():
                    written.append(path(lead, kind))
                    sealed.write_file(request, path(lead, kind), content)
            _close(by, review, ReviewState.RELEASED)
    except BaseException:
        for file in written:
            file.unlink(missing_ok=True)
        raise
    return made


def withhold(*, by: User, request: SearchRequest, note: str) -> Review:
    """Decides that no lead leaves although two examiners agree, with a reason. Raises NotAllowed, Invalid, StateConflict."""
    permissions.check_can_supervise_lead(by, request)
    _check_waits(reviews.state(request))
    if not note.strip():
        sentence = "Write why you withhold it."
        raise Invalid(sentence, {"note": [sentence]})
    with transaction.atomic():
        request, review = _locked(request)
        _close(by, review, ReviewState.WITHHELD)
        journal.record(
            "search:lead:withheld",
            vault_record=request.id,
            values={"note": note.strip()},
            request=request.id,
            candidates=len(reviews.agreed(request)),
            **signature(by, Permission.RELEASE_LEADS),
        )
    return review


def open_lead(*, by: User, lead: Lead) -> LeadPage:
    """Reads a lead: an entry each time. Raises NotAllowed, LogUnavailable, NotFound after erasure."""
    permissions.check_can_see_lead(by, lead.request)
    values = unsealed(lead)
    view = journal.record_now("search:lead:viewed", request=lead.request_id, lead=lead.id, viewer=by.id, actor=by.id)
    figures = values["measured"]
    return LeadPage(
        view,
        lead,
        values["person_ref"],
        values["enrolled_at"],
        values["score_milli"],
        values["candidates"],
        values["note"],
        measured.Measured.of(figures) if figures else None,
    )


def picture(*, by: User, lead: Lead, kind: str) -> bytes:
    """One of PICTURES, for ten minutes after an own reading. Raises NotAllowed, NotFound."""
    permissions.check_can_see_lead(by, lead.request)
    if kind not in PICTURES:
        raise NotFound("There is no such picture.")
    since = timezone.now() - OPEN_FOR
    if not any(
        entry.type == "search:lead:viewed"
        and entry.at > since
        and (entry.fields["lead"], entry.fields["viewer"]) == (str(lead.id), str(by.id))
        for entry in trail.entries(database.session(), lead.request_id)
    ):
        raise NotAllowed("The reading is over. Open the lead again.")
    return content(lead, kind)


def content(lead: Lead, kind: str) -> bytes:
    """The clear bytes of a picture. Whoever shows it has asked who may. Raises NotFound after erasure."""
    return sealed.read_file(lead.request, sealed.crop_path(lead.request) if kind == "probe" else path(lead, kind))


def unsealed(lead: Lead) -> dict[str, Any]:
    """What is sealed in a lead: the person, the score, the figures. Raises NotFound after erasure."""
    found: dict[str, Any] = sealed.unseal(lead.request, _SEALED, lead.sealed)
    return found


def path(lead: Lead, kind: str) -> Path:
    """Where a sealed picture of a lead lies."""
    return state.directory("media/leads") / f"{lead.id}.{kind}"


def _check_waits(found: ReviewState) -> None:
    if found != ReviewState.AGREED:
        raise StateConflict(review_states.said(found))


def _locked(request: SearchRequest) -> tuple[SearchRequest, Review]:
    request = SearchRequest.objects.select_for_update(of=("self",)).select_related("requester").get(pk=request.pk)
    review = Review.objects.select_for_update().get(request=request)
    _check_waits(ReviewState(review.state))
    if request.state != RequestState.DONE:
        raise StateConflict("This search has no result any more.")
    return request, review


def _close(by: User, review: Review, to: ReviewState) -> None:
    review_states.move(review, to)
    review.closed_by, review.closed_at = by, timezone.now()
    review.save()


def _pictures(view: uuid.UUID, row: CandidateRow) -> dict[str, bytes]:
    if row.photo is None:
        raise Conflict("The photo of this candidate was expunged since. Withhold the lead.")
    if not row.photo.has_photo:
        raise Conflict("There is no photo of this candidate that anybody could have compared. Withhold the lead.")
    with shards.holding(row.template) as own, gate_sentences():
        half = client.photo_key(own, view, journal.reading_secret(view), row.template)
    return {kind: photos.read(row.template, half, kind) for kind in (photos.PHOTO, photos.CROP)}


def _release(by: User, request: SearchRequest, row: CandidateRow, candidates: int, note: str) -> Lead:
    first, second = request.decisions.order_by("seat")
    assert row.photo is not None
    assert row.rank is not None
    assert row.score_milli is not None
    identity = uuid.uuid4()
    entry = journal.record(
        "search:lead:released",
        vault_record=request.id,
        values={
            "candidate": {"template": str(row.template), "rank": row.rank, "score_milli": row.score_milli},
            "note": note or None,
        },
        request=request.id,
        lead=identity,
        examiners=[first.examiner_id, second.examiner_id],
        model=request.face_model,
        threshold=request.threshold,
        **signature(by, Permission.RELEASE_LEADS),
    )
    figures = measured.of(request)
    values = {
        "template": str(row.template),
        "person": str(row.photo.person),
        "person_ref": row.photo.person_ref,
        "enrolled_at": row.photo.enrolled_at.isoformat(),
        "attributes": EnrolledPhoto.objects.get(pk=row.template).attributes,
        "score_milli": row.score_milli,
        "candidates": candidates,
        "measured": asdict(figures) if figures else None,
        "note": note,
    }
    return Lead.objects.create(
        id=identity,
        request=request,
        rank=row.rank,
        requester_id=request.requester_id,
        first=first,
        second=second,
        first_examiner_id=first.examiner_id,
        second_examiner_id=second.examiner_id,
        released_by=by,
        released_at=timezone.now(),
        entry=entry,
        sealed=sealed.seal(request, _SEALED, values),
    )

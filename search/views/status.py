"""One search as a numbered path, its photo, documents and receipts."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.text import get_valid_filename
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_htmx.http import HttpResponseClientRefresh

from audit.log import verifier_keys
from audit.log.merkle import leaf_hash
from core import access, database
from core.exceptions import NotFound
from core.models import Job, User
from core.views.requests import person
from search import (
    intake,
    leads,
    permissions,
    photo_views,
    pictures,
    readings,
    requests,
    review_states,
    reviews,
    selectors,
    states,
    steps,
    trail,
)
from search.models import Attachment, RequestState, Review, SearchRequest
from search.requests import SEARCH
from search.steps import Progress, Step
from search.vocabulary import ATTACHMENT_KINDS, PURPOSES, choices

_READERS = access.roles("officer", "supervisor", "examiner", "counsel", "board")
_DECIDERS = access.roles("officer", "supervisor", "examiner", "counsel")
_MOVING: Final = frozenset({RequestState.READY, RequestState.RUNNING, RequestState.INCOMPLETE})
_TITLES: Final = {"intent": "Intent", "bound": "Face bound", "result": "Result", "merged": "Results of all servers"}


@dataclass(frozen=True)
class ReceiptCard:
    """One entry of a search and its place in the signed log."""

    kind: str
    title: str
    entry: uuid.UUID
    index: int
    leaf: str
    covered_at: datetime


@_READERS
@never_cache
@require_safe
def search_status(request: HttpRequest, search_id: uuid.UUID) -> HttpResponse:
    """Everything about one request that this person may see."""
    by = person(request)
    found = selectors.request(by, search_id)
    reads = permissions.can_see_justification(by, found)
    cards = _cards(found)
    context: dict[str, Any] = {
        **_path(found),
        "reads": reads,
        "words": _words(found) if reads else None,
        "documents": list(found.attachments.order_by("filed_at")),
        "cards": cards,
        "vkeys": _vkeys() if cards else [],
        "mine": found.requester_id == by.id,
        "may_withdraw": found.requester_id == by.id and states.can_move(found.state, RequestState.WITHDRAWN),
        "may_attach": found.requester_id == by.id and found.emergency and found.state in {*_MOVING, RequestState.DONE},
        "attachment_kinds": choices(ATTACHMENT_KINDS),
        "may_decide": _waits_for(by, found),
        "may_read": found.state == RequestState.DONE and permissions.can_view_candidates(by, found),
        "review": Review.objects.filter(request=found).first(),
        "leads": list(leads.visible(by).filter(request=found)),
        "may_release": leads.queue(by).filter(pk=found.pk).exists(),
        "may_disclose": found.state == RequestState.DONE and permissions.can_disclose(by, found),
        "decisions": _decisions(by, found),
        "purpose_note": PURPOSES[found.purpose].description if found.purpose in PURPOSES else "",
    }
    return render(request, "search/search.html", context)


@_READERS
@never_cache
@require_safe
def search_path(request: HttpRequest, search_id: uuid.UUID) -> HttpResponse:
    """The numbered path alone: a part of the page, asked for again while the search is on its way."""
    found = selectors.request(person(request), search_id)
    if request.GET.get("was", found.state) != found.state:
        return HttpResponseClientRefresh()
    return render(request, "search/parts/path.html", _path(found))


@_DECIDERS
@never_cache
@require_safe
def probe_image(request: HttpRequest, search_id: uuid.UUID) -> HttpResponse:
    """The photo with its numbered faces."""
    by = person(request)
    found = _readable(by, search_id)
    boxes = [(face.number, face.box) for face in intake.faces(found)]
    shown = pictures.numbered(intake.probe_image(found), boxes, chosen=found.chosen_face)
    photo_views.record(by, found)
    return picture(shown)


@_DECIDERS
@never_cache
@require_safe
def probe_face(request: HttpRequest, search_id: uuid.UUID, number: int) -> HttpResponse:
    """One face of the photo, cut out."""
    by = person(request)
    found = _readable(by, search_id)
    for face in intake.faces(found):
        if face.number == number:
            shown = pictures.cut_out(intake.probe_image(found), face.box)
            photo_views.record(by, found)
            return picture(shown)
    raise NotFound("There is no such face in this photo.")


@_DECIDERS
@never_cache
@require_safe
def search_document(request: HttpRequest, search_id: uuid.UUID, document_id: uuid.UUID) -> HttpResponse:
    """A document that gives authority, as it was filed."""
    found = _readable(person(request), search_id)
    document = Attachment.objects.select_related("request").filter(request=found, pk=document_id).first()
    if document is None:
        raise NotFound("There is no such document.")
    return download(requests.document(document), document.name)


@_READERS
@never_cache
@require_safe
def search_receipt(request: HttpRequest, search_id: uuid.UUID, kind: str) -> HttpResponse:
    """A receipt (`.tlog-proof`). The download is an entry of the log."""
    by = person(request)
    file = readings.download_receipt(by=by, request=selectors.request(by, search_id), kind=kind)
    return download(file.receipt, file.receipt_name)


@_READERS
@never_cache
@require_safe
def search_entry(request: HttpRequest, search_id: uuid.UUID, kind: str) -> HttpResponse:
    """The entry that a receipt proves, byte for byte."""
    by = person(request)
    for file in readings.receipts(by=by, request=selectors.request(by, search_id)):
        if file.kind == kind:
            return download(file.body, file.entry_name, "application/json")
    raise NotFound("This entry is not in the signed log yet. Try again in a few seconds.")


def picture(content: bytes, kind: str = "image/jpeg") -> HttpResponse:
    """An image that no cache keeps and no other site shows."""
    response = HttpResponse(content, content_type=kind)
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


def download(content: bytes, name: str, kind: str = "application/octet-stream") -> HttpResponse:
    """A file to be saved, never shown: whatever is in it runs nowhere."""
    response = HttpResponse(content, content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{get_valid_filename(name) or "file"}"'
    return response


def _readable(by: User, search_id: uuid.UUID) -> SearchRequest:
    found = selectors.request(by, search_id)
    permissions.check_can_see_justification(by, found)
    return found


def _path(found: SearchRequest) -> dict[str, Any]:
    job = Job.objects.filter(kind=SEARCH, subject=found.pk).order_by("-created_at").first()
    path = [] if found.state == RequestState.DRAFT else [*_with_rules(found), *steps.afterwards(found)]
    if found.state in states.FINAL and found.state != RequestState.DONE:
        path = [_ended(found, step) for step in path]
    people = _who(found)
    moving = found.state in _MOVING
    return {
        "search": found,
        "path": [(step, people.get(step.entry)) for step in path],
        "job": job if moving else None,
        "moving": moving,
        "waits": found.state in states.WAITING and not moving,
    }


def _ended(found: SearchRequest, step: Step) -> Step:
    """A step of a request that has ended: says why it stopped here, and promises nothing that was to come."""
    if step.state is Progress.STOPPED:
        return replace(step, sentence=found.problem or states.said(found.state))
    return replace(step, sentence="") if step.state in (Progress.LATER, Progress.LEFT_OUT) else step


def _with_rules(found: SearchRequest) -> list[Step]:
    """The steps as the log has them, and between request and approval the rules, which answered as it was submitted."""
    requested, *others = steps.steps(found)
    if requested.state is not Progress.DONE:
        return [requested, *others]
    said = "None refused it; its wording asks for counsel." if found.held_reasons else "None stood against it."
    rules = Step(
        "rules",
        f"Rules: {found.law_pack.capitalize()}",
        Progress.DONE,
        requested.at,
        sentence=said,
    )
    return [requested, rules, *others]


def _who(found: SearchRequest) -> dict[uuid.UUID | None, User]:
    """Who is named by the entries of a search: whoever requested, cleared, approved or read.

    An examiner who has decided is named once the other one has, too.
    """
    named: dict[uuid.UUID | None, str] = {}
    quiet = reviews.state(found) in review_states.OPEN
    with database.connect("app") as own:
        for entry in trail.entries(own, found.id):
            if quiet and entry.type == "search:review:decided":
                continue
            who = entry.fields.get("approver") or entry.fields.get("viewer") or entry.fields.get("actor")
            if who:
                named[entry.id] = who
    people = {str(one.pk): one for one in User.objects.filter(pk__in=set(named.values()))}
    return {entry: people[who] for entry, who in named.items() if who in people}


def _decisions(by: User, found: SearchRequest) -> list[reviews.Decision]:
    if not permissions.can_see_decisions(by, found):
        return []
    try:
        return reviews.decisions(by, found)
    except NotFound:
        return []


def _words(found: SearchRequest) -> str | None:
    try:
        return requests.typed(found).justification
    except NotFound:
        return None


def _cards(found: SearchRequest) -> list[ReceiptCard]:
    kinds = {type_: kind for kind, type_ in readings.RECEIPTS.items()}
    cards = []
    with database.connect("app") as own:
        for entry in trail.entries(own, found.id):
            if entry.type in kinds and entry.index is not None and entry.covered_at is not None:
                kind = kinds[entry.type]
                leaf = _leaf(own, entry.id)
                cards.append(ReceiptCard(kind, _TITLES[kind], entry.id, entry.index, leaf, entry.covered_at))
    return cards


def _leaf(own: Any, entry: uuid.UUID) -> str:
    from audit.log import storage

    return leaf_hash(storage.entry_body(own, entry)).hex()


def _vkeys() -> list[str]:
    try:
        return [str(key) for key in verifier_keys.published()]
    except verifier_keys.NoVerifierKey:
        return []


def _waits_for(by: User, found: SearchRequest) -> str:
    """The page on which this person decides about the request, if one does."""
    from search import approvals, holds

    if approvals.queue(by).filter(pk=found.pk).exists():
        return "approval"
    if holds.queue(by).filter(pk=found.pk).exists():
        return "hold"
    return ""

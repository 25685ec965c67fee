"""Held searches: counsel reads what a rule stopped, and clears it or turns it down."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from audit.log import journal
from core.exceptions import Invalid
from core.models import User
from core.permissions import has, signature
from core.person_roles import Permission
from search import permissions, requests, sealed, states
from search.exceptions import StateConflict
from search.gathering import gather
from search.models import RequestState, SearchRequest


def queue(by: User) -> QuerySet[SearchRequest]:
    """The held requests that this counsel may decide, oldest first."""
    found = SearchRequest.objects.filter(state=RequestState.HELD, requester__agency=by.agency_id).exclude(requester=by)
    if not has(by, Permission.DECIDE_HOLDS):
        return found.none()
    return found.select_related("requester", "case", "gallery").order_by("submitted_at")


def clear(*, by: User, request: SearchRequest, note: str) -> SearchRequest:
    """Lets a held request go on. Every other rule is asked again: one that fails by now ends the request (state refused).

    Raises NotAllowed, Invalid, StateConflict.
    """
    _check(by, request, note)
    with transaction.atomic():
        request = _locked(request)
        request.cleared_by, request.cleared_at = by, timezone.now()
        _record(by, request, "cleared", note)
        gathered = gather(
            request=request, values=sealed.read(request), fields=requests.typed(request), now=timezone.now()
        )
        if gathered.refusals:
            states.move(request, RequestState.REFUSED)
            request.problem = " ".join(refusal.sentence for refusal in gathered.refusals)[:500]
            journal.record(
                "search:request:refused",
                reasons=[refusal.code for refusal in gathered.refusals],
                law_pack=request.law_pack,
                request=request.id,
                case=request.case_id,
                requester=request.requester_id,
                purpose=request.purpose,
                offence=request.offence,
                gallery=request.gallery_id,
            )
        else:
            requests.fix(request, gathered)
            requests.go_on(request, gathered)
        request.save()
    return request


def uphold(*, by: User, request: SearchRequest, note: str) -> SearchRequest:
    """Turns a held request down for good. Raises NotAllowed, Invalid, StateConflict."""
    _check(by, request, note)
    with transaction.atomic():
        request = _locked(request)
        request.cleared_by, request.cleared_at = by, timezone.now()
        request.problem = "Counsel does not allow this search."
        states.move(request, RequestState.REFUSED)
        request.save()
        _record(by, request, "upheld", note)
    return requests.finish(request, RequestState.REFUSED)


def _check(by: User, request: SearchRequest, note: str) -> None:
    permissions.check_can_decide_hold(by, request)
    if not note.strip():
        sentence = "Write why you decide so."
        raise Invalid(sentence, {"note": [sentence]})


def _locked(request: SearchRequest) -> SearchRequest:
    request = SearchRequest.objects.select_for_update(of=("self",)).get(pk=request.pk)
    if request.state != RequestState.HELD:
        raise StateConflict(states.said(request.state))
    return request


def _record(by: User, request: SearchRequest, decision: str, note: str) -> None:
    journal.record(
        "search:request:cleared",
        vault_record=request.id,
        values={"note": note},
        request=request.id,
        decision=decision,
        **signature(by, Permission.DECIDE_HOLDS),
    )

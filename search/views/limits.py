"""Thresholds and the limits of the gate: an administrator proposes, two approvers sign on the same page."""

from __future__ import annotations

import uuid
from typing import Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from audit import evaluations
from audit.models import Evaluation
from core import access, approvers, database
from core.exceptions import Invalid
from core.models import User
from core.permissions import has
from core.person_roles import Permission
from core.views.requests import person
from search import thresholds
from search.forms import LimitForm, TwoApproversForm
from search.gate import client

MEANINGS: Final = {
    "k_max": "Longest list of candidates that may be asked for",
    "approval_needed": "1: every search needs an approval unless it is exempt; 0: none does",
    "intent_hours_max": "Longest life of a request, in hours",
    "edition_hour_cap": "Searches per gallery edition and hour",
    "system_hour_cap": "Searches in the whole system per hour",
    "approver_day_cap": "Searches per approver and day",
    "emergency_day_cap": "Emergency searches without approval per day",
    "emergency_deadline_hours": "Hours until an emergency's result without approval is sealed",
    "two_stage_from": (
        "Gallery editions with so many templates are searched in two stages, where a photo exactly at the threshold is "
        "missed with a chance of at most 1 in 1,000,000; of a gallery over several servers, each server's part by its own "
        "size; 0: every search is exact"
    ),
    "view_seconds": "How long an opened list of candidates can be used, in seconds",
    "evaluation_days_max": "Longest validity of an adopted evaluation, in days",
    "witness_quorum": "Witnesses that have to cosign before a search goes on; 0: the signer's word suffices",
    "witness_grace_minutes": "Minutes that searches go on after enough witnesses last cosigned; 0: they stop at once",
    "proposal_minutes": "How long a proposal can be used, in minutes",
    "approval_passkey": "1: every approval of a search has to be proven by the approver's passkey; 0: the approval secret suffices",
    "probe_days": "How long the photos, embeddings and candidates of searches are kept, in days",
}
_READERS = access.having(Permission.READ_EVALUATIONS)
_PROPOSER = access.having(Permission.PROPOSE_POLICY)


@_READERS
@never_cache
@require_safe
def limits(request: HttpRequest) -> HttpResponse:
    """What holds now, and the evaluations that wait to be adopted."""
    return _page(request)


@_PROPOSER
@never_cache
@sensitive_post_parameters("secret_1", "secret_2")
@require_POST
def limit_set(request: HttpRequest) -> HttpResponse:
    """Change one limit."""
    by = person(request)
    form = LimitForm(request.POST, approvers=_approvers(by), settings=list(_settings()))
    if form.is_valid():
        values = form.cleaned_data
        try:
            thresholds.set_limit(by=by, setting=values["setting"], value=values["value"], signatures=_signatures(form))
        except Invalid as error:
            form.refuse(error)
        else:
            messages.success(request, "The limit is changed. It holds from now on.")
            return redirect("limits")
    return _page(request, limit_form=form)


@_PROPOSER
@never_cache
@sensitive_post_parameters("secret_1", "secret_2")
@require_POST
def evaluation_adopt(request: HttpRequest, evaluation_id: uuid.UUID) -> HttpResponse:
    """Adopt the threshold of an evaluation."""
    by = person(request)
    evaluation = evaluations.published(evaluation_id)
    form = TwoApproversForm(request.POST, approvers=_approvers(by), prefix=f"adopt-{evaluation.pk}")
    if form.is_valid():
        try:
            thresholds.adopt(by=by, evaluation=evaluation, signatures=_signatures(form))
        except Invalid as error:
            form.refuse(error)
        else:
            messages.success(request, "The threshold is adopted. It holds for searches requested from now on.")
            return redirect("limits")
    return _page(request, adopting=evaluation, adopt_form=form)


def _signatures(form: TwoApproversForm) -> list[thresholds.Signature]:
    return [thresholds.Signature(approver, secret) for approver, secret in form.signatures()]


def _approvers(by: User) -> list[User]:
    people = User.objects.filter(is_active=True).exclude(pk=by.pk).order_by("full_name")
    if by.agency_id is not None:
        people = people.filter(agency=by.agency_id)
    return [one for one in people if approvers.state(one) == "enrolled"]


def _settings() -> dict[str, int]:
    with database.connect("app") as own:
        return client.settings(own)


def _page(
    request: HttpRequest,
    *,
    limit_form: LimitForm | None = None,
    adopting: Evaluation | None = None,
    adopt_form: TwoApproversForm | None = None,
) -> HttpResponse:
    by = person(request)
    proposes = has(by, Permission.PROPOSE_POLICY)
    people = _approvers(by) if proposes else []
    now = _settings()
    rows = []
    for one in Evaluation.objects.exclude(published_at=None).order_by("-published_at")[:20]:
        form = adopt_form if adopting == one else TwoApproversForm(approvers=people, prefix=f"adopt-{one.pk}")
        rows.append({"evaluation": one, "form": form, "open": adopting == one})
    context = {
        "rows": rows,
        "settings": [(name, MEANINGS[name], value) for name, value in now.items()],
        "proposes": proposes,
        "limit_form": (limit_form or LimitForm(approvers=people, settings=list(now))) if proposes else None,
        "limit_open": limit_form is not None,
    }
    return render(request, "search/limits.html", context, status=422 if limit_form or adopt_form else 200)

"""Cases: mine, one, a new one, and what a supervisor does with them."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core import access
from core.exceptions import Conflict, Invalid
from core.models import User
from core.permissions import has
from core.person_roles import Permission
from core.views.requests import person
from search import cases, permissions, selectors
from search.forms import CaseForm, OfficersForm
from search.models import Case
from search.vocabulary import OFFENCES

PAGE = 50
_READERS = access.roles("officer", "supervisor", "counsel", "board")


@_READERS
@require_safe
def case_list(request: HttpRequest) -> HttpResponse:
    """The cases one may see; for a supervisor those that wait for confirmation first."""
    by = person(request)
    page = Paginator(selectors.cases(by).prefetch_related("officers"), PAGE).get_page(request.GET.get("page"))
    return render(
        request,
        "search/cases.html",
        {
            "page": page,
            "rows": [_row(case) for case in page],
            "waiting": [_row(case) for case in selectors.unconfirmed_cases(by)],
            "may_open": permissions.can_open_case(by),
        },
    )


@access.having(Permission.OPEN_CASES)
@require_http_methods(["GET", "HEAD", "POST"])
def case_open(request: HttpRequest) -> HttpResponse:
    """A new case."""
    by = person(request)
    permissions.check_can_open_case(by)
    assigns = has(by, Permission.CONFIRM_CASES)
    form = CaseForm(request.POST if request.method == "POST" else None, by=by, officers=_officers(by), assigns=assigns)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            case = cases.open_case(
                by=by, number=values["case_number"], offence=values["offence"], officers=values.get("officers", ())
            )
        except Invalid as error:
            form.refuse(error)
        except Conflict as error:
            form.add_error("case_number", error.sentence)
        else:
            said = "is open" if case.confirmed_at else "waits for a supervisor to confirm it"
            messages.success(request, f"Case {case.number} {said}.")
            return redirect("case", case_id=case.pk)
    context = {"form": form, "assigns": assigns}
    return render(request, "search/case_open.html", context, status=422 if form.errors else 200)


@_READERS
@require_safe
def case_detail(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    """One case: who works on it, what was searched in it, what can be done."""
    by = person(request)
    return _page(request, selectors.case(by, case_id))


@access.having(Permission.CONFIRM_CASES)
@require_POST
def case_confirm(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    """Confirm a case that an officer opened."""
    return _act(request, case_id, cases.confirm, "is confirmed")


@access.having(Permission.CONFIRM_CASES)
@require_POST
def case_close(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    """Close a case: nobody searches in it any more."""
    return _act(request, case_id, cases.close, "is closed. Nobody searches in it any more")


@access.having(Permission.CONFIRM_CASES)
@require_POST
def case_reopen(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    """Reopen a closed case."""
    return _act(request, case_id, cases.reopen, "is open again")


@access.having(Permission.CONFIRM_CASES)
@require_POST
def case_assign(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    """Set who works on the case: those who are ticked and nobody else."""
    by = person(request)
    case = selectors.case(by, case_id)
    form = OfficersForm(request.POST, officers=_officers(by))
    if form.is_valid():
        try:
            cases.assign(by=by, case=case, officers=form.cleaned_data["officers"])
        except Invalid as error:
            form.refuse(error)
        else:
            messages.success(request, "The officers of the case were changed.")
            return redirect("case", case_id=case.pk)
    return _page(request, case, form)


def _act(request: HttpRequest, case_id: uuid.UUID, act: Callable[..., Case], done: str) -> HttpResponse:
    by = person(request)
    case = act(by=by, case=selectors.case(by, case_id))
    messages.success(request, f"Case {case.number} {done}.")
    return redirect("case", case_id=case.pk)


def _page(request: HttpRequest, case: Case, form: OfficersForm | None = None) -> HttpResponse:
    by = person(request)
    officers = list(case.officers.order_by("full_name"))
    manages = permissions.can_manage_case(by, case)
    if manages and form is None:
        form = OfficersForm(officers=_officers(by), initial={"officers": [str(one.pk) for one in officers]})
    offence = OFFENCES.get(case.offence)
    context = {
        "case": case,
        "offence": offence.label if offence else "Not named",
        "officers": officers,
        "searches": selectors.requests(by).filter(case=case),
        "form": form,
        "manages": manages,
        "may_confirm": case.status == "unconfirmed" and permissions.can_confirm_case(by, case),
        "may_search": case.status == "open" and by in officers and permissions.can_request_search(by),
    }
    return render(request, "search/case.html", context, status=422 if form is not None and form.errors else 200)


def _officers(by: User) -> list[User]:
    found = User.objects.filter(agency=by.agency_id, is_active=True, roles__contains=["officer"])
    return list(found.order_by("full_name"))


def _row(case: Case) -> dict[str, object]:
    offence = OFFENCES.get(case.offence)
    shapes = {"open": "good", "unconfirmed": "warn", "closed": "ended"}
    return {"case": case, "offence": offence.label if offence else "Not named", "shape": shapes[case.status]}

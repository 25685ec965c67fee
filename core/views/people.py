"""People and their training, for administrators."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core import access, approvers, people, permissions
from core.exceptions import Conflict, Invalid
from core.forms import PersonForm, RolesForm, TrainingForm
from core.models import User
from core.person_roles import ROLES, Permission
from core.views.requests import person


@access.having(Permission.MANAGE_PEOPLE)
@require_safe
def people_list(request: HttpRequest) -> HttpResponse:
    """Everybody this administrator manages."""
    rows = [
        {"person": one, "roles": permissions.role_classes(one), "trained": people.training_is_current(one)}
        for one in people.visible_to(person(request))
    ]
    return render(request, "core/people.html", {"rows": rows})


@access.having(Permission.MANAGE_PEOPLE)
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def person_add(request: HttpRequest) -> HttpResponse:
    """A new person; the first password is shown once, on the page that answers."""
    by = person(request)
    form = PersonForm(request.POST if request.method == "POST" else None, by=by)
    if request.method == "POST" and form.is_valid():
        password = people.first_password()
        try:
            added = people.add(by=by, **form.cleaned_data, password=password, must_change_password=True)
        except Invalid as error:
            form.refuse(error)
        except Conflict as error:
            form.add_error("username", error.sentence)
        else:
            return render(request, "core/first_password.html", {"person": added, "password": password}, status=201)
    status = 422 if form.is_bound else 200
    return render(request, "core/person_add.html", {"form": form, "all_roles": ROLES.values()}, status=status)


@access.having(Permission.MANAGE_PEOPLE)
@require_safe
def person_detail(request: HttpRequest, person_id: uuid.UUID) -> HttpResponse:
    """One person and what may be changed."""
    by = person(request)
    return _page(request, people.visible(by, person_id))


@access.having(Permission.MANAGE_PEOPLE)
@require_POST
def person_roles(request: HttpRequest, person_id: uuid.UUID) -> HttpResponse:
    """Give exactly the ticked roles."""
    by = person(request)
    user = people.visible(by, person_id)
    form = RolesForm(request.POST)
    if form.is_valid():
        try:
            people.change_roles(by=by, user=user, roles=form.cleaned_data["roles"])
        except Invalid as error:
            form.refuse(error)
        else:
            return _back(request, user, f"The roles of {user} were changed.")
    return _page(request, user, roles_form=form)


@access.having(Permission.MANAGE_PEOPLE)
@require_POST
def person_training(request: HttpRequest, person_id: uuid.UUID) -> HttpResponse:
    """Record until when the training is valid."""
    by = person(request)
    user = people.visible(by, person_id)
    form = TrainingForm(request.POST)
    if form.is_valid():
        try:
            people.record_training(by=by, user=user, until=form.cleaned_data["training_until"])
        except Invalid as error:
            form.refuse(error)
        else:
            return _back(request, user, f"The training of {user} was recorded.")
    return _page(request, user, training_form=form)


@access.having(Permission.MANAGE_PEOPLE)
@require_POST
@never_cache
def person_reset(request: HttpRequest, person_id: uuid.UUID) -> HttpResponse:
    """A new first password, shown once; codes, passkeys and tokens are void."""
    by = person(request)
    user = people.visible(by, person_id)
    password = people.reset_sign_in(by=by, user=user)
    return render(request, "core/first_password.html", {"person": user, "password": password})


@access.having(Permission.MANAGE_PEOPLE)
@require_POST
def person_deactivate(request: HttpRequest, person_id: uuid.UUID) -> HttpResponse:
    """Close an account."""
    by = person(request)
    user = people.visible(by, person_id)
    people.deactivate(by=by, user=user)
    return _back(request, user, f"The account of {user} is closed.")


def _back(request: HttpRequest, user: User, sentence: str) -> HttpResponseRedirect:
    messages.success(request, sentence)
    return redirect("person", person_id=user.pk)


def _page(
    request: HttpRequest, user: User, *, roles_form: RolesForm | None = None, training_form: TrainingForm | None = None
) -> HttpResponse:
    by = person(request)
    return render(
        request,
        "core/person.html",
        {
            "person": user,
            "roles": permissions.role_classes(user),
            "all_roles": ROLES.values(),
            "trained": people.training_is_current(user),
            "approver_state": approvers.state(user),
            "may_change": user.is_active and permissions.can_manage(by, user),
            "roles_form": roles_form or RolesForm(initial={"roles": user.roles}),
            "training_form": training_form or TrainingForm(initial={"training_until": user.training_until}),
        },
        status=422 if roles_form or training_form else 200,
    )

"""The start page: what this person can do here."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from core import access, people, permissions
from core.views.requests import person


@access.everyone_signed_in
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Roles, training and the places one may open."""
    user = person(request)
    return render(
        request,
        "core/home.html",
        {"roles": permissions.role_classes(user), "training_is_current": people.training_is_current(user)},
    )

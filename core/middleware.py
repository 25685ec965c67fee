"""Deny by default: no view answers that has not declared who may open it, and nobody else gets past the declaration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect

from core import access, problems

# What a person with somebody else's password for the account may still do: choose an own one, or leave.
_OPEN_BEFORE_CHANGE = {"account_change_password", "account_logout", "account_reauthenticate"}
UNDECLARED = "Nobody has said who may open this page, so it is closed. Tell your administrator."


class AccessMiddleware:
    """Stands after AuthenticationMiddleware. Also turns the services' refusals into answers."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """What a view says about caching stands; without a word no cache and no browser keeps what a person was shown."""
        response = self.get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> HttpResponse | None:
        """Let the view answer, or answer in its place."""
        wanted = access.declared(view)
        if wanted is None:
            return problems.answer(request, 403, UNDECLARED)
        if access.is_api(view) or wanted.anonymous:
            return None
        user = request.user
        if not user.is_authenticated:
            return self._sign_in_first(request)
        if user.must_change_password and self._name(request) not in _OPEN_BEFORE_CHANGE:
            return HttpResponseRedirect(reverse("account_change_password"))
        if not wanted.allows(user):
            return problems.answer(request, 403, problems.NOT_ALLOWED)
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer what a service refused; leave faults to Django."""
        explained = problems.describe(error)
        return None if explained is None else problems.answer(request, *explained, error)

    @staticmethod
    def _name(request: HttpRequest) -> str | None:
        return request.resolver_match.view_name if request.resolver_match else None

    @staticmethod
    def _sign_in_first(request: HttpRequest) -> HttpResponse:
        if request.headers.get("HX-Request") == "true":
            return HttpResponseClientRedirect(reverse(settings.LOGIN_URL))
        # Where to go afterwards: only what a link can open.
        target = request.get_full_path() if request.method in {"GET", "HEAD"} else settings.LOGIN_REDIRECT_URL
        return redirect_to_login(target, reverse(settings.LOGIN_URL))

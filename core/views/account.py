"""One's own account: how one signs in, the state of one's approval secret, API tokens."""

from __future__ import annotations

import uuid

from allauth.account.decorators import reauthentication_required
from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core import access, approvers, passkeys, permissions, tokens
from core.exceptions import Invalid, NotFound
from core.forms import TokenForm
from core.models import ApiToken
from core.views.requests import person


@access.everyone_signed_in
@require_safe
def my_account(request: HttpRequest) -> HttpResponse:
    """Everything about one's own account."""
    user = person(request)
    return render(
        request,
        "core/my_account.html",
        {
            "roles": permissions.role_classes(user),
            "authenticators": Authenticator.objects.filter(user=user).order_by("type", "created_at"),
            "tokens": tokens.live(user),
            "approver_state": approvers.state(user),
            "passkeys": passkeys.of(user),
            "may_approve": permissions.can_hold_approval_secret(user),
        },
    )


@access.everyone_signed_in
@reauthentication_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def token_add(request: HttpRequest) -> HttpResponse:
    """A new API token, shown once, on the page that answers."""
    form = TokenForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            token, text = tokens.issue(by=person(request), **form.cleaned_data)
        except Invalid as error:
            form.refuse(error)
        else:
            return render(request, "core/token_shown.html", {"token": token, "text": text}, status=201)
    return render(request, "core/token_add.html", {"form": form}, status=422 if form.is_bound else 200)


@access.everyone_signed_in
@require_POST
def token_revoke(request: HttpRequest, token_id: uuid.UUID) -> HttpResponse:
    """Void a token."""
    token = ApiToken.objects.select_related("user").filter(pk=token_id).first()
    if token is None:
        raise NotFound("There is no such token.")
    tokens.revoke(by=person(request), token=token)
    messages.success(request, f"The token “{token.name}” is revoked.")
    return redirect("my_account")

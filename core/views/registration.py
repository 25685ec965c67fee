"""An account that somebody makes alone, to read reports on error rates, where the installation allows it."""

from __future__ import annotations

from allauth.core import ratelimit
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from core import access, people, problems
from core.exceptions import Conflict, Invalid, NotFound
from core.forms import RegistrationForm


@access.public
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def register(request: HttpRequest) -> HttpResponse:
    """The form, and the account; sign in afterwards."""
    if not settings.GLASSCASE_AUDITOR_SIGNUP:
        raise NotFound("This installation lets nobody make an account alone. Ask its administrator.")
    form = RegistrationForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        # Each account is an entry of the log: a flood of them would be one too.
        if not ratelimit.consume(request, action="signup"):
            return problems.answer(request, 429, "Too many accounts were made from this address. Try again in an hour.")
        try:
            people.register(**form.cleaned_data)
        except Invalid as error:
            form.refuse(error)
        except Conflict as error:
            form.add_error("username", error.sentence)
        else:
            messages.success(request, "Your account is made. Sign in with it.")
            return redirect("account_login")
    return render(request, "core/register.html", {"form": form}, status=422 if form.is_bound else 200)

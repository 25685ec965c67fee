"""The addresses of allauth that we want, one by one: no sign-up, no e-mail, no reset by mail, no sign-in by code."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account import views as account
from allauth.mfa.base import views as mfa
from allauth.mfa.recovery_codes import views as recovery
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as webauthn
from django.http import HttpRequest, HttpResponseBase
from django.urls import path

from core import access
from core.sign_in import recording_credentials

View = Callable[..., HttpResponseBase]


def _declared(view: View, declare: Callable[[View], View]) -> View:
    # A function of our own: declarations are not written onto somebody else's view.
    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return view(request, *args, **kwargs)

    return declare(inner)


def _public(view: View) -> View:
    return _declared(view, access.public)


def _signed_in(view: View) -> View:
    return _declared(view, access.everyone_signed_in)


def _changing(view: View) -> View:
    return _declared(recording_credentials(view), access.everyone_signed_in)


urlpatterns = [
    path("login/", _public(account.login), name="account_login"),
    # Public, because a sign-in that waits for its second step is ended here too.
    path("logout/", _public(account.logout), name="account_logout"),
    path("reauthenticate/", _signed_in(account.reauthenticate), name="account_reauthenticate"),
    path("password/change/", _signed_in(account.password_change), name="account_change_password"),
    path("mfa/", _signed_in(mfa.index), name="mfa_index"),
    # The second step of a sign-in: nobody is signed in yet.
    path("mfa/authenticate/", _public(mfa.authenticate), name="mfa_authenticate"),
    path("mfa/reauthenticate/", _signed_in(mfa.reauthenticate), name="mfa_reauthenticate"),
    path("mfa/totp/activate/", _changing(totp.activate_totp), name="mfa_activate_totp"),
    path("mfa/totp/deactivate/", _changing(totp.deactivate_totp), name="mfa_deactivate_totp"),
    path("mfa/recovery-codes/", _signed_in(recovery.view_recovery_codes), name="mfa_view_recovery_codes"),
    path(
        "mfa/recovery-codes/generate/",
        _changing(recovery.generate_recovery_codes),
        name="mfa_generate_recovery_codes",
    ),
    path(
        "mfa/recovery-codes/download/",
        _signed_in(recovery.download_recovery_codes),
        name="mfa_download_recovery_codes",
    ),
    path("mfa/webauthn/", _signed_in(webauthn.list_webauthn), name="mfa_list_webauthn"),
    path("mfa/webauthn/add/", _changing(webauthn.add_webauthn), name="mfa_add_webauthn"),
    path(
        "mfa/webauthn/reauthenticate/", _signed_in(webauthn.reauthenticate_webauthn), name="mfa_reauthenticate_webauthn"
    ),
    path("mfa/webauthn/keys/<int:pk>/remove/", _changing(webauthn.remove_webauthn), name="mfa_remove_webauthn"),
    path("mfa/webauthn/keys/<int:pk>/edit/", _changing(webauthn.edit_webauthn), name="mfa_edit_webauthn"),
]

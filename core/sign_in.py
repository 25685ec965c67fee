"""Signing in: what allauth and axes do, with our words, our log and our rules about passwords and codes.

There is no sign-up, no e-mail and no reset by mail: an administrator adds people and resets their sign-in. Django's signals
are not used for anything that has to happen; allauth's adapter methods are.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authentication_failed as code_failed
from django.conf import settings
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

from audit.log import journal
from core import keystore, problems
from core.exceptions import NotAllowed
from core.models import User

# The key under which secrets of one-time codes are sealed: outside the database, like every key.
_CODES_RECORD: Final = uuid.UUID("6c6f636b-6564-4f64-8573-6f6e6c796f6e")
_CODES_PURPOSE: Final = "one-time codes"
_LONGEST_USERNAME: Final = 150
CLOSED: Final = "This account is closed. Ask your administrator."
LOCKED: Final = (
    "There were too many wrong passwords for this account, so it is locked for {minutes} minutes. Wait, then try again; "
    "if it was not you, tell your administrator."
)


def lock_name(request: HttpRequest | None, credentials: dict[str, Any] | None) -> str | None:
    """What axes counts failures under: a keyed hash, because people type passwords into the wrong field."""
    typed = (credentials or {}).get("username")
    if not typed and request is not None:
        typed = request.POST.get("login")
    if not typed:
        return None
    # However it is written: the database may find one account under letters that only look different.
    one = unicodedata.normalize("NFKC", str(typed)).strip().casefold()
    return hmac.new(settings.SECRET_KEY.encode(), one.encode(), hashlib.sha256).hexdigest()


def locked_out(request: HttpRequest, response: HttpResponse | None, credentials: Any) -> HttpResponse:
    """The answer to a sign-in on a locked account, whether the password was right or wrong."""
    minutes = int(settings.AXES_COOLOFF_TIME.total_seconds() // 60)
    return problems.answer(request, 429, LOCKED.format(minutes=minutes))


def record_failure(reason: str, *, user: User | None = None, username: str | None = None) -> None:
    """Put a failed sign-in into the log at once. Raises LogUnavailable."""
    record = user.id if user else uuid.uuid4()
    journal.record_now(
        "core:user:sign_in_failed",
        reason=reason,
        user=user.id if user else None,
        vault_record=record if username else None,
        values={"username": username[:_LONGEST_USERNAME]} if username else None,
    )


class AccountAdapter(DefaultAccountAdapter):
    """allauth's account flows with entries in the log. Adapters are made anew for each request."""

    error_messages = {  # noqa: RUF012 - allauth declares it so
        **DefaultAccountAdapter.error_messages,
        "username_password_mismatch": "Username or password is wrong. Check both and try again.",
        "account_inactive": CLOSED,
        "incorrect_password": "The password is wrong. Type your current password.",
        "enter_current_password": "The password is wrong. Type your current password.",
        "too_many_login_attempts": "There were too many failed attempts. Wait a few minutes, then try again.",
        "incorrect_code": "The code is wrong or has expired. Type the code that your app shows now.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Administrators add people."""
        return False

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """The active person with these credentials. allauth would also return people whose account is closed."""
        user = super().authenticate(request, **credentials)
        if user is not None and not user.is_active:
            record_failure("closed", user=user, username=credentials.get("username"))
            return None
        return user

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """Committed before the answer, also when the request fails afterwards."""
        username = str(credentials.get("username") or "")
        reason = "locked" if getattr(request, "axes_locked_out", False) else "password"
        record_failure(reason, user=User.objects.filter(username__iexact=username).first(), username=username)

    def login(self, request: HttpRequest, user: User) -> None:
        """Entry first: a sign-in that cannot be logged does not happen. Django gives the session a new key."""
        if not user.is_active:
            record_failure("closed", user=user)
            raise NotAllowed(CLOSED)
        journal.record_now("core:user:signed_in", user=user.id, actor=user.id)
        super().login(request, user)

    def logout(self, request: HttpRequest) -> None:
        """Out first: nobody stays signed in because the log is down."""
        user = request.user
        super().logout(request)
        if user.is_authenticated:
            journal.record_now("core:user:signed_out", user=user.pk, actor=user.pk)

    def set_password(self, user: User, password: str) -> None:
        """A person's own new password."""
        user.set_password(password)
        user.must_change_password = False
        with transaction.atomic():
            user.save(update_fields=["password", "must_change_password"])
            journal.record("core:user:credential_changed", user=user.id, kind="password", actor=user.id)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        """To the start page, which asks to sign in with the new password."""
        return reverse("home")

    def respond_user_inactive(self, request: HttpRequest, user: User) -> HttpResponse:
        """There is no page of its own for a closed account."""
        return HttpResponseRedirect(reverse("account_login"))

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """People have no e-mail address here."""
        raise NotAllowed("This installation sends no mail.")


class MfaAdapter(DefaultMFAAdapter):
    """Secrets of one-time codes and recovery codes are sealed with a key outside the database."""

    error_messages = {  # noqa: RUF012 - allauth declares it so
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": "The code is wrong or has expired. Type the code that your app shows now.",
    }

    def encrypt(self, text: str) -> str:
        """Seal a secret for the table of authenticators."""
        return keystore.seal(keystore.create(_CODES_RECORD), _CODES_PURPOSE, text.encode()).hex()

    def decrypt(self, encrypted_text: str) -> str:
        """The secret again. Raises keystore.KeyMissing when the key store was lost: people then set codes up again."""
        sealed = bytes.fromhex(encrypted_text)
        return keystore.unseal(keystore.get(_CODES_RECORD), _CODES_PURPOSE, sealed).decode()


@receiver(code_failed, dispatch_uid="core.sign_in.code_failed")
def _record_wrong_code(sender: Any, user: User, authenticator: Any, **kwargs: Any) -> None:
    # allauth has no adapter method for this one; the entry is evidence, not a rule.
    record_failure("code", user=user)


def recording_credentials(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Wrap a view that adds or removes one-time codes, passkeys or recovery codes: rows and entries are one transaction."""

    def held(request: HttpRequest) -> set[tuple[int, str]]:
        return set(Authenticator.objects.filter(user_id=request.user.pk).values_list("pk", "type"))

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with transaction.atomic():
            before = held(request)
            response = view(request, *args, **kwargs)
            for kind in sorted({kind for _, kind in before ^ held(request)}):
                journal.record("core:user:credential_changed", user=request.user.pk, kind=kind, actor=request.user.pk)
        return response

    return inner

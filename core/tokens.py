"""API tokens: a person's own, with an end. Only the SHA-256 is kept; the token is shown once."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from audit.log import journal
from core.exceptions import Conflict, Invalid, NotAllowed
from core.models import ApiToken, User
from core.permissions import check_can_revoke_token

PREFIX: Final = "gct_"  # lets scanners of source code find a token that leaked
_RANDOM_BYTES: Final = 32
_SHAPE: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
DEFAULT_DAYS: Final = 90
LONGEST_DAYS: Final = 365
MOST_LIVE: Final = 20
_SEEN_EVERY: Final = timedelta(minutes=1)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def issue(*, by: User, name: str, days: int = DEFAULT_DAYS) -> tuple[ApiToken, str]:
    """Make a token for oneself that ends after `days`; returns it and its text, which is never seen again.

    Raises NotAllowed for a closed account, Invalid, Conflict when there are too many tokens.
    """
    if not by.is_active:
        raise NotAllowed("This account is closed.")
    errors: dict[str, list[str]] = {}
    if not 1 <= len(name.strip()) <= 80:
        errors["name"] = ["Write what the token is for, in at most 80 characters."]
    if not 1 <= days <= LONGEST_DAYS:
        errors["days"] = [f"Choose between 1 and {LONGEST_DAYS} days."]
    if errors:
        raise Invalid("The token was not made: see the fields.", errors)
    text = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    with transaction.atomic():
        User.objects.select_for_update().get(pk=by.pk)
        if live(by).count() >= MOST_LIVE:
            raise Conflict(f"You have {MOST_LIVE} tokens already. Revoke one that you no longer use.")
        token = ApiToken.objects.create(
            user=by, name=name.strip(), digest=_digest(text), expires_at=timezone.now() + timedelta(days=days)
        )
        journal.record("core:token:issued", user=by.id, token=token.id, actor=by.id)
    return token, text


def revoke(*, by: User | None, token: ApiToken) -> None:
    """Void a token at once: one's own, or one of a person whom one manages. Raises NotFound, Conflict."""
    check_can_revoke_token(by, token.user)
    with transaction.atomic():
        changed = ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now())
        if not changed:
            raise Conflict("This token is revoked already.")
        journal.record("core:token:revoked", user=token.user_id, token=token.id, actor=by.id if by else None)


def live(user: User) -> Any:
    """The user's tokens that work now, newest first."""
    return ApiToken.objects.filter(user=user, revoked_at=None, expires_at__gt=timezone.now()).order_by("-created_at")


def find(text: str) -> ApiToken | None:
    """The live token of an active person; None otherwise.

    A token that was good once is a failed sign-in of its owner and goes to the log; a made-up one says nothing.
    """
    if _SHAPE.fullmatch(text) is None:
        return None
    token = ApiToken.objects.select_related("user").filter(digest=_digest(text)).first()
    if token is None:
        return None
    now = timezone.now()
    if token.revoked_at is not None or token.expires_at <= now or not token.user.is_active:
        journal.record_now("core:user:sign_in_failed", reason="token", user=token.user_id)
        return None
    if token.last_used_at is None or token.last_used_at < now - _SEEN_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer gct_…` (or `Token gct_…`). `request.auth` is the ApiToken."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        """The token's person; None without such a header. Raises AuthenticationFailed for a token that does not work."""
        words = get_authorization_header(request).split()
        if not words or words[0].lower() not in (b"bearer", b"token"):
            return None
        token = find(words[1].decode("ascii", "replace")) if len(words) == 2 else None
        if token is None:
            raise AuthenticationFailed("This token is wrong, revoked or expired. Make a new one under “My account”.")
        if token.user.must_change_password:
            raise AuthenticationFailed("Your password was reset. Sign in on the web and choose your own first.")
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """Makes a missing sign-in a 401."""
        return 'Bearer realm="api"'


class TokenScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI schema names the tokens."""

    target_class = "core.tokens.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """The security scheme of OpenAPI 3."""
        return {"type": "http", "scheme": "bearer"}

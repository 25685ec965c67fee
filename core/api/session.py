"""Signing in to the API with the session of the web. A module of its own: DRF's settings name it while DRF's views load."""

from __future__ import annotations

from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from core.models import User


class Session(SessionAuthentication):
    """Somebody who is signed in on the web; every change needs the CSRF token."""

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        """The signed-in person; None for nobody. Raises AuthenticationFailed while a first password is to be changed."""
        found = super().authenticate(request)
        if found is not None and found[0].must_change_password:
            raise AuthenticationFailed("Your password was reset. Sign in on the web and choose your own first.")
        return found

    def enforce_csrf(self, request: Request) -> None:
        """As DRF's, with a sentence."""
        try:
            super().enforce_csrf(request)
        except PermissionDenied:
            raise PermissionDenied(
                "The CSRF token is missing or wrong. Send it as X-CSRFToken, or use an API token instead."
            ) from None

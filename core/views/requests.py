"""The person behind a request, for views that the middleware opens to signed-in people only."""

from __future__ import annotations

from django.http import HttpRequest

from core.exceptions import NotAllowed
from core.models import User


def person(request: HttpRequest) -> User:
    """The signed-in person. Raises NotAllowed for anybody else: such a view was declared wrongly."""
    if not isinstance(request.user, User):
        raise NotAllowed("Sign in first.")
    return request.user

"""What stands around every page: whether people are generated, the roles of who is signed in, where one is."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from core.models import User
from core.permissions import role_classes


def context(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `demonstration`, `signup` (whether anybody may make an account), `role_labels` and `here` (the name
    of the address)."""
    user = getattr(request, "user", None)
    labels = [role.label for role in role_classes(user)] if isinstance(user, User) else []
    return {
        "demonstration": settings.GLASSCASE_DEMO,
        "signup": settings.GLASSCASE_AUDITOR_SIGNUP,
        "here": request.resolver_match.view_name if request.resolver_match else "",
        "role_labels": " · ".join(labels),
    }

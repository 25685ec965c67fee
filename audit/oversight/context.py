"""The log line in the header of every page."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from audit.oversight import health


def log_line(request: HttpRequest) -> dict[str, Any]:
    """`log_health` for templates, looked up when a template asks for it: `log_health.state` (good, warn, bad) and `.line`."""
    return {"log_health": SimpleLazyObject(health.state)}

"""Words about the log for pages."""

from __future__ import annotations

from django import template

from audit.oversight.health import duration

register = template.Library()


@register.filter
def age(seconds: float | None) -> str:
    """A length of time in its largest unit; empty for none."""
    return "" if seconds is None else duration(seconds)

from __future__ import annotations

from django.apps import AppConfig


class SearchConfig(AppConfig):
    name = "search"

    def ready(self) -> None:
        """Register the handlers of this app's jobs."""
        from search import enrolment, intake, life  # noqa: F401

from __future__ import annotations

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "audit"

    def ready(self) -> None:
        from audit import work  # noqa: F401 - registers the handlers of its jobs
        from core import navigation

        navigation.register(
            navigation.Place(70, "The log", "Everything that was done, with proofs and sealed values.", "log_entries"),
            navigation.Place(75, "Lead rates", "How often released leads were wrong.", "lead_rates"),
        )

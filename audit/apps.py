from __future__ import annotations

from typing import Any

from django.apps import AppConfig


def _open(user: Any) -> int:
    from audit.models import Finding

    return Finding.objects.filter(closed_at=None).count()


class AuditConfig(AppConfig):
    name = "audit"

    def ready(self) -> None:
        from audit import work  # noqa: F401 - registers the handlers of its jobs
        from core import diagnosis, navigation

        diagnosis.register("audit.diagnosis.log")
        navigation.register(
            navigation.Place(
                60, "Error rates", "Reports on how often face models mistake one person for another.", "reports"
            ),
            navigation.Place(
                75, "Findings", "What the board or a repeated evaluation found, and what came of it.", "findings", _open
            ),
            navigation.Place(
                65, "Evaluations", "How often face models confuse people, for each group.", "evaluation_runs"
            ),
            navigation.Place(70, "The log", "Everything that was done, with proofs and sealed values.", "log_entries"),
            navigation.Place(75, "Lead rates", "How often released leads were wrong.", "lead_rates"),
        )

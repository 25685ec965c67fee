from __future__ import annotations

from django.apps import AppConfig


class SearchConfig(AppConfig):
    name = "search"

    def ready(self) -> None:
        """Register the handlers of this app's jobs, and its places in the navigation."""
        from core.navigation import Place, register
        from search import codes, enrolment, intake, life, reembedding, template_import, waiting  # noqa: F401

        register(
            Place(10, "Cases", "Your cases. Nothing is searched outside one.", "cases", waiting.cases),
            Place(20, "Searches", "What was requested, and how far it has come.", "searches", waiting.drafts),
            Place(30, "Approvals", "Requests and photos that wait for you.", "approvals", waiting.approvals),
            Place(35, "Held searches", "Requests that a rule has stopped, for you to decide.", "holds", waiting.holds),
            Place(40, "Candidates", "Finished searches whose candidates you compare.", "readings", waiting.reviews),
            Place(
                43, "Releases", "Leads on which two examiners agree, for you to decide.", "releases", waiting.releases
            ),
            Place(46, "Leads", "What was released, and what became of it.", "leads", waiting.overdue),
            Place(50, "Galleries", "Who can be found, why, and for how long.", "galleries"),
            Place(70, "Limits", "Thresholds and limits that no search gets past.", "limits"),
        )

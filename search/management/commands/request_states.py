"""`manage.py request_states [--check]`: writes docs/reference/request-states.md, or says that it is out of date."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from search import review_states, states


class Command(BaseCommand):
    help = "Write the page about the states of a search request and its review from the code."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="write nothing, fail when the page is out of date")

    def handle(self, *args: Any, **options: Any) -> None:
        page = settings.BASE_DIR / "docs" / "reference" / "request-states.md"
        text = states.as_markdown() + review_states.as_markdown()
        if not options["check"]:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text, encoding="utf-8")
        elif not page.exists() or page.read_text(encoding="utf-8") != text:
            raise CommandError(f"{page.relative_to(settings.BASE_DIR)} is out of date: run manage.py request_states.")

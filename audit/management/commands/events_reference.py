from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.oversight import events_page

PAGE = Path("docs/reference/events.md")


class Command(BaseCommand):
    help = "Print the page about the events of the log."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help=f"compare with {PAGE} instead; print nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        page = events_page.markdown()
        if not options["check"]:
            self.stdout.write(page, ending="")
        elif (Path(settings.BASE_DIR) / PAGE).read_text(encoding="utf-8") != page:
            raise CommandError(f"{PAGE} is not what the registry says: run `make docs` and commit it.")

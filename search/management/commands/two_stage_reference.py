"""`manage.py two_stage_reference`: the table of cuts as Markdown, for docs/reference/two-stage.md."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from search import cut


class Command(BaseCommand):
    help = "Print the table of the cuts of searches in two stages as Markdown."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        for line in cut.table():
            self.stdout.write(line)

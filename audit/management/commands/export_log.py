from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.log import journal, storage
from core import database


class Command(BaseCommand):
    help = "Write the signed log into an empty directory, in the layout that glasscase-verify reads (C2SP tlog-tiles)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("directory", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        directory: Path = options["directory"]
        try:
            with database.connect("reader") as connection:
                size = storage.export(connection, directory)
        except (FileExistsError, storage.NotCovered) as problem:
            raise CommandError(str(problem)) from problem
        journal.record_now("log:export:made", size=size, role="operator")
        self.stdout.write(f"{size} entries written to {directory}")

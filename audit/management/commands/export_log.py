from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.log import journal, verifier_keys
from audit.oversight import exports
from core import database


class Command(BaseCommand):
    help = (
        "Write the signed log into an empty directory, or into a new .zip file, in the layout that glasscase-verify reads "
        "(C2SP tlog-tiles), with the verifier and how to use it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("place", type=Path, metavar="DIR|FILE.zip")
        parser.add_argument("--number", type=int, help="of a log that was succeeded: 1 is the first (the open one)")

    def handle(self, *args: Any, **options: Any) -> None:
        place: Path = options["place"]
        try:
            with database.connect("reader") as connection:
                size = exports.write(connection, place, verifier_keys.published(), options["number"])
        except (FileExistsError, LookupError, verifier_keys.NoVerifierKey) as problem:
            raise CommandError(str(problem)) from problem
        try:
            journal.record_now("log:export:made", size=size, role="operator")
        except journal.LogUnavailable as problem:
            # Most needed when the log is frozen: whoever runs commands can read everything anyway.
            self.stderr.write(f"The export is there, but it could not be recorded. {problem}")
        self.stdout.write(f"{size} entries written to {place}")

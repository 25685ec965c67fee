"""`manage.py state_absence NUMBER FILE [--first A] [--last B]`: states which entries are for a case, and that no other is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.oversight import absences
from core.acting import user_from_option
from core.refusals import command_sentences


class Command(BaseCommand):
    help = (
        "Write a statement about one case number, which glasscase-verify --absence checks against the log without any "
        "other case being opened. That it was made is in the log."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("number", help="the case number, in any spelling")
        parser.add_argument("file", type=Path, help="a new file")
        parser.add_argument("--first", type=int, help="first entry (0)")
        parser.add_argument("--last", type=int, help="last entry (that of the newest checkpoint)")
        parser.add_argument("--as", dest="user", metavar="U", help="a member of the board; else the operator")

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"]
        if file.exists():
            raise CommandError(f"{file} exists. Name a new file.")
        by = user_from_option(options["user"], "state_absence") if options["user"] else None
        with command_sentences():
            stated = absences.state(by=by, number=options["number"], first=options["first"], last=options["last"])
        try:
            file.write_bytes(stated.encode())
        except OSError as problem:
            raise CommandError(f"{file} cannot be written: {problem.strerror}.") from problem
        self.stdout.write(
            f"{file}: case {stated.case_number}, entries {stated.first} to {stated.last}, "
            f"{len(stated.signatures)} search entries compared"
        )

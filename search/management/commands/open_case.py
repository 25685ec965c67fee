"""`manage.py open_case NUMBER --offence O --officer U --as U`: opens a case, as the page does."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import people
from core.acting import user_from_option
from core.exceptions import GlasscaseError
from search import cases
from search.vocabulary import OFFENCES


class Command(BaseCommand):
    help = "Open a case in somebody's name. The last line is one JSON object."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("number")
        parser.add_argument("--offence", required=True, choices=sorted(OFFENCES), metavar="OFFENCE")
        parser.add_argument("--officer", action="append", default=[], help="username; may be given several times")
        parser.add_argument("--as", dest="user", required=True, help="username of who opens it")

    def handle(self, *args: Any, **options: Any) -> None:
        by = user_from_option(options["user"], "open_case")
        try:
            officers = [people.named(username) for username in options["officer"]]
            case = cases.open_case(by=by, number=options["number"], offence=options["offence"], officers=officers)
        except GlasscaseError as problem:
            raise CommandError(problem.sentence) from problem
        self.stdout.write(json.dumps({"case": str(case.id), "number": case.number, "status": case.status}))

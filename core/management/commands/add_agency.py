"""`manage.py add_agency CODE --name NAME`: an agency, before its people and cases."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from core import agencies
from core.refusals import command_sentences


class Command(BaseCommand):
    help = "Add an agency. The last line is one JSON object."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("code", help="small letters, digits, hyphens, underscores: provo-pd")
        parser.add_argument("--name", required=True)
        parser.add_argument("--case-numbers", default="", metavar="PATTERN", help="regular expression of case numbers")
        parser.add_argument("--example", default="", metavar="NUMBER", help="a case number that fits the pattern")
        parser.add_argument("--law-pack", default="default", metavar="PACK", help="the jurisdiction whose rules hold")

    def handle(self, *args: Any, **options: Any) -> None:
        with command_sentences():
            agency = agencies.add(
                by=None,
                code=options["code"],
                name=options["name"],
                case_number_pattern=options["case_numbers"],
                case_number_example=options["example"],
                law_pack=options["law_pack"],
            )
        self.stdout.write(json.dumps({"agency": agency.code, "name": agency.name, "law_pack": agency.law_pack}))

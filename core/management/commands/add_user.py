"""`manage.py add_user NAME --role R --agency A`: a person, as the page for administrators adds one."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import people
from core.models import Agency
from core.person_roles import CODES
from core.refusals import command_sentences


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{text!r} is no date. Write it as 2027-05-31.") from None


class Command(BaseCommand):
    help = (
        "Add a person. Without --password-file a first password is made, printed once in the last line (one JSON "
        "object), and has to be changed at the first sign-in."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--role", action="append", default=[], choices=CODES, help="may be given several times")
        parser.add_argument("--agency", metavar="CODE", help="none for an oversight board or an auditor")
        parser.add_argument("--full-name", default="")
        parser.add_argument("--badge-number", default="")
        parser.add_argument(
            "--training-until", type=_day, metavar="DATE", help="last day of valid training: 2027-05-31"
        )
        parser.add_argument("--password-file", type=Path, metavar="FILE", help="file with the person's password")

    def handle(self, *args: Any, **options: Any) -> None:
        agency = None
        if options["agency"]:
            agency = Agency.objects.filter(code=options["agency"]).first()
            if agency is None:
                raise CommandError(f"There is no agency {options['agency']!r}. Add it with `manage.py add_agency`.")
        given = self._password(options["password_file"])
        password = given or people.first_password()
        with command_sentences():
            user = people.add(
                by=None,
                username=options["username"],
                full_name=options["full_name"] or options["username"],
                agency=agency,
                roles=options["role"],
                badge_number=options["badge_number"],
                training_until=options["training_until"],
                password=password,
                must_change_password=given is None,
            )
        answer = {"user": str(user.id), "username": user.username, "roles": user.roles}
        if given is None:
            answer["first_password"] = password
        self.stdout.write(json.dumps(answer))

    @staticmethod
    def _password(file: Path | None) -> str | None:
        if file is None:
            return None
        try:
            password = file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            raise CommandError(f"{file} cannot be read. Name a text file with the password.") from None
        if not password:
            raise CommandError(f"{file} is empty. Write the password into it.")
        return password

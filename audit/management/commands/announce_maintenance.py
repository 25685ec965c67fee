from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import maintenance
from audit.log.entries import EntryError


class Command(BaseCommand):
    help = "Put into the log that the database is maintained next: run it before a superuser changes anything by hand."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("reason", help="what is done, as one word of small letters, digits and _: rebuild_index")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if not maintenance.announce(migrations=0, reason=options["reason"]):
                raise CommandError("There is no log yet. Run `manage.py migrate` first.")
        except (maintenance.NotRecorded, EntryError) as problem:
            raise CommandError(str(problem)) from problem
        self.stdout.write("The maintenance is announced in the log. Go on now.")

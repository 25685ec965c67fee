"""`manage.py expunge GALLERY PERSON --approver U --secret-file F --as U`: erases a person from a gallery."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import people
from core.acting import in_full, secret_from_file, user_from_option
from core.exceptions import GlasscaseError
from search import galleries, removal


class Command(BaseCommand):
    help = "Erase a person's templates, files, keys and name from a gallery. The last line is one JSON object."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("gallery", help="name or id")
        parser.add_argument("person", help="person_id of the manifest")
        parser.add_argument("--approver", required=True, help="username of who approves")
        parser.add_argument("--secret-file", required=True, help="file with the approver's secret")
        parser.add_argument("--as", dest="user", required=True, help="username of the custodian")

    def handle(self, *args: Any, **options: Any) -> None:
        by = user_from_option(options["user"], "expunge")
        secret = secret_from_file(options["secret_file"])
        try:
            gallery = galleries.find(options["gallery"])
            person = galleries.person(gallery, options["person"])
            gone = removal.expunge(
                by=by, gallery=gallery, person=person, approver=people.named(options["approver"]), secret=secret
            )
        except GlasscaseError as problem:
            raise CommandError(in_full(problem)) from problem
        self.stdout.write(json.dumps({"gallery": str(gallery.id), "person": str(person), "templates": gone}))
